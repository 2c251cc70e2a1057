"""The three cascades (paper section 3.1.2, Fig. 3): CNN 1's class maps join CNN 2's input, local path or last layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from brats_cascade.models.two_path import FULL, Style, classify, two_path_features


@dataclass(frozen=True)
class Geometry:
    """The field of view of a network, in pixels.

    Attributes:
        before: Pixels needed above and to the left of the pixel that is classified.
        after: Pixels needed below and to the right of it.
        joined: Side of CNN 1's output that CNN 2 needs for one output pixel; 0 without a cascade.
        step: Windows start at multiples of these (rows, columns), and their sides are multiples of them.
        reads: The content of a window: "slice", pixels of one slice; or "slabs" and "grid", the inputs of the coarse
            cascade's two CNNs (`models.coarse`).
    """

    before: int
    after: int
    joined: int = 0
    step: tuple[int, int] = (1, 1)
    reads: str = "slice"

    @property
    def patch(self) -> int:
        """Side of the patch that yields one output pixel."""
        return self.before + 1 + self.after

    @property
    def halo(self) -> tuple[int, int]:
        """Pixels before plus pixels after."""
        return self.before, self.after


RELU = "cnn1_relu"  # first layer of a CNN 2 whose input is CNN 1's scores
CNN2 = Geometry(16, 16)  # every CNN 2 sees 33x33 pixels of the image

# LocalCascadeCNN's 56 is even: the fields of its first local block are 10 pixels wide, so CNN 1's pixels lie between two.
# The classified pixel is the 28th of 56.
GEOMETRY: Mapping[str, Geometry] = {
    "two_path": Geometry(16, 16),
    "input_cascade": Geometry(32, 32, joined=33),
    "local_cascade": Geometry(27, 28, joined=24),
    "mf_cascade": Geometry(26, 26, joined=21),
    "unet": Geometry(32, 32),
    "coarse_cnn1": Geometry(16, 16, reads="slabs"),
    "coarse_cascade": Geometry(18, 18, step=(2, 2), reads="grid"),
}
# The paper's networks use only valid convolutions, so a slice yields exactly what its patches yield; the U-Net does not.
PAPERS = ("two_path", "input_cascade", "local_cascade", "mf_cascade")
CASCADES = tuple(name for name, geometry in GEOMETRY.items() if geometry.joined)


def build_cnn2(architecture: str, *, modalities: int = 4, classes: int = 5, style: Style = FULL) -> keras.Model:
    """CNN 2 of one of the paper's cascades, with CNN 1's class maps as its second input.

    It maps [image (batch, r, c, modalities), maps from `cnn1_map_model` (batch, r - 33 + j, c - 33 + j, classes)], with
    j = GEOMETRY[architecture].joined, to probabilities (batch, r - 32, c - 32, classes).

    Raises:
        ValueError: The style names no such output of CNN 1.
    """
    image = keras.Input((None, None, modalities), name="image")
    given: Any = keras.Input((None, None, classes), name="cnn1_probabilities")
    maps: Any = given
    if style.cnn1_output == "relu_batch":
        positive = keras.layers.ReLU(dtype=style.policy, name=RELU)(given)
        maps = keras.layers.BatchNormalization(momentum=0.95, dtype=style.policy, name="cnn1_batch")(positive)
    elif style.cnn1_output != "probabilities":
        raise ValueError(f"expected cnn1_output 'probabilities' or 'relu_batch', received {style.cnn1_output!r}")
    if architecture == "input_cascade":
        joined = keras.layers.Concatenate(dtype=style.policy, name="join_input")([image, maps])
        features = two_path_features(joined, style=style)
    elif architecture == "local_cascade":
        features = two_path_features(image, style=style, after_first_local=maps)
    else:
        features = two_path_features(image, style=style, before_output=maps)
    return keras.Model([image, given], classify(features, classes=classes, style=style), name="cnn2")


def cnn1_map_model(cnn1: keras.Model, *, cnn2: keras.Model) -> keras.Model:
    """CNN 1 up to the output that CNN 2 uses: its probabilities, or its scores if CNN 2 starts with a ReLU on them.

    Layers and weights are shared. Applied to its own result, the function returns the same network.
    """
    if not any(layer.name == RELU for layer in cnn2.layers):
        return cnn1
    return keras.Model(cnn1.inputs, cnn1.get_layer("output").output, name="two_path_scores")


def join_cascade(architecture: str, *, cnn1: keras.Model, cnn2: keras.Model) -> keras.Model:
    """Joins CNN 1 and CNN 2 of one of the paper's cascades into one network whose only input is the image.

    It maps (batch, r, c, modalities) to probabilities, each side smaller by the patch side minus 1.
    """
    image, whole = _joined(architecture, cnn1=cnn1, cnn2=cnn2)
    return keras.Model(image, whole, name=architecture)


def score_model(network: keras.Model) -> keras.Model:
    """The same network up to its float32 scores before the softmax, for training; layers and weights are shared."""
    if network.name not in CASCADES:
        return keras.Model(network.inputs, network.get_layer("output").output)
    cnn2 = network.get_layer("cnn2")
    head = keras.Model(cnn2.inputs, cnn2.get_layer("output").output, name="cnn2")
    image, scores = _joined(network.name, cnn1=network.get_layer("cnn1"), cnn2=head)
    return keras.Model(image, scores)


def output_layer(network: keras.Model) -> keras.layers.Layer:
    """The last convolution of a network, in a joined cascade that of CNN 2."""
    return (network.get_layer("cnn2") if network.name in CASCADES else network).get_layer("output")


def _joined(architecture: str, *, cnn1: keras.Model, cnn2: keras.Model) -> tuple[Any, Any]:
    """The image as Keras tensor, and CNN 2's output for it and CNN 1's maps."""
    geometry = GEOMETRY[architecture]
    image = keras.Input((None, None, cnn1.input_shape[-1]), name="image")
    seen = cnn1_map_model(cnn1, cnn2=cnn2)  # a name that identifies the CNN in files and summaries
    maps: Any = keras.Model(seen.inputs, seen.outputs[0], name="cnn1")(image)
    top, bottom = geometry.before - CNN2.before, geometry.after - CNN2.after
    centre = keras.layers.Cropping2D(((top, bottom), (top, bottom)), dtype="float32", name="centre")(image)
    return image, cnn2([centre, maps])
