"""The 21x21 output layer: a direct convolution compared with its fast forms, forward and in a training step."""

import numpy as np

from benchmarks.common import best, report
from brats_cascade.backend import start_backend


def main() -> None:
    """One tile of 64x64 output pixels, 224 maps."""
    start_backend()
    import keras

    from brats_cascade.models.layers import WideOutput

    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 84, 84, 224)).astype(np.float32)
    target = rng.integers(0, 5, (1, 64, 64, 1))
    table = []
    for dtype in ("float32", "mixed_bfloat16"):
        times = {}
        for form in ("direct", "columns", "relative"):
            inputs = keras.Input((None, None, 224))
            model = keras.Model(inputs, WideOutput(5, form=form, dtype=dtype)(inputs))
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss, jit_compile=False)
            forward = best(lambda model=model: model.predict_on_batch(image))
            step = best(lambda model=model: model.train_on_batch(image, target), repeats=1)
            times[form] = forward, step
        for form, (forward, step) in times.items():
            table.append(
                {
                    "precision": dtype,
                    "form": form,
                    "forward, ms": round(1e3 * forward, 1),
                    "training step, ms": round(1e3 * step, 1),
                    "forward, direct over this": round(times["direct"][0] / forward, 1),
                    "step, direct over this": round(times["direct"][1] / step, 1),
                }
            )
    report("output_layer", rows=table)


if __name__ == "__main__":
    main()
