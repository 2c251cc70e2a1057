"""The README.md beside an exported network: what opens it, what goes in, what comes out."""

from brats_cascade.labels import LABELS, NECROSIS, NON_ENHANCING
from brats_cascade.models.files import Contract

README = "README.md"

# Format -> what must be installed, and the lines that open the file.
OPENING = {
    "keras": (
        "Keras 3 and this project (`pip install .` in its checkout): two layers are its own, and Keras looks for them "
        "among what has been imported. To need no code of the project, export with `--format saved_model` or `onnx`.",
        """\
import keras
import numpy as np

import brats_cascade.models.build  # registers the layers

network = keras.saving.load_model("model.keras", compile=False)
image = np.zeros({shape}, np.float32)
probabilities = keras.ops.convert_to_numpy(network.predict_on_batch(image))
""",
    ),
    "saved_model": (
        "TensorFlow; nothing of this project.",
        """\
import numpy as np
import tensorflow as tf

network = tf.saved_model.load("saved_model")
image = np.zeros({shape}, np.float32)
probabilities = network.serve(image).numpy()
""",
    ),
    "onnx": (
        "onnxruntime; nothing of this project.",
        """\
import numpy as np
import onnxruntime

network = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
image = np.zeros({shape}, np.float32)
[probabilities] = network.run(None, {{network.get_inputs()[0].name: image}})
""",
    ),
}


def readme(contract: Contract, *, form: str) -> str:
    """The text, with one block of Python, which runs in the export's folder."""
    needs, code = OPENING[form]
    patch, modalities = contract.geometry.patch, len(contract.modalities)
    before, after = contract.geometry.halo
    names = {label: LABELS[label] for label in contract.classes}
    if NON_ENHANCING not in names:  # releases since 2017 have one label for both
        names[NECROSIS] += " and non-enhancing tumour"
    labels = ", ".join(f"{number} {name}" for number, name in enumerate(names.values()))
    return f"""\
# {contract.architecture}, exported by brats-cascade

Needs {needs}

```python
{code.format(shape=(1, patch, patch, modalities))}```

- **Input**: float32 (batch, rows, columns, {modalities}), one {contract.axis} slice per image, at least {patch} x {patch}
  pixels. Channels: {", ".join(contract.modalities)}. Each is z-scored per case over the {contract.zscore}, after clipping
  {contract.clip:g} of its intensities at either end; `model.json` has every setting.
- **Output**: float32 (batch, rows - {patch - 1}, columns - {patch - 1}, {len(contract.classes)}), the probability of each
  label: {labels}. The output starts {before} pixels below and to the right of the input's corner and ends {after} before its
  end: pad the slice with zeros by as much to have an output for every pixel.
- Post-processing is not part of the network. Not a medical device.
"""
