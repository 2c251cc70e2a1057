"""The time of each layer of InputCascadeCNN in a prediction, measured separately on its own input."""

from typing import Any

import numpy as np

from benchmarks.common import best, report
from brats_cascade import MODALITIES
from brats_cascade.backend import start_backend


def main() -> None:
    """Full width, two slices of 176x144 output pixels, as prediction builds the network: normalisation folded."""
    start_backend()
    from brats_cascade.models.build import build_model
    from brats_cascade.models.files import Contract
    from brats_cascade.models.fold import for_inference
    from brats_cascade.models.two_path import Style

    style = Style()
    contract = Contract("input_cascade", (0, 1, 2, 4), MODALITIES, 0.01, style, style)
    network = for_inference(
        build_model("input_cascade", classes=4, style=style), contract=contract, precision="float32"
    )
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 176 + 64, 144 + 64, 4)).astype(np.float32)
    whole = best(lambda: network.predict_on_batch(image))
    first, second = network.get_layer("cnn1"), network.get_layer("cnn2")
    maps = first.predict_on_batch(image)
    rows = [
        *_times(first, given=[image], whole=whole),
        *_times(second, given=[image[:, 16:-16, 16:-16], maps], whole=whole),
        {"cnn": "", "layer": "both in one pass", "ms": round(1e3 * whole, 1), "share of the pass": 1.0},
    ]
    report("layers", rows=rows)


def _times(part: Any, *, given: list[np.ndarray], whole: float) -> list[dict[str, Any]]:
    import keras

    rows = []
    inputs = given if len(given) > 1 else given[0]
    for layer in part.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        before = keras.Model(part.inputs, layer.input).predict_on_batch(inputs)
        held = [keras.Input(tensor.shape[1:]) for tensor in _listed(layer.input)]
        alone = keras.Model(held, layer(held if len(held) > 1 else held[0]))
        tensors = [keras.ops.convert_to_tensor(values) for values in _listed(before)]
        seconds = best(lambda m=alone, t=tensors: m.predict_on_batch(t if len(t) > 1 else t[0]))
        rows.append(
            {
                "cnn": part.name,
                "layer": layer.name,
                "ms": round(1e3 * seconds, 1),
                "share of the pass": round(seconds / whole, 3),
            }
        )
    return rows


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


if __name__ == "__main__":
    main()
