"""The three cascades (paper section 3.1.2, Fig. 3): CNN 1's class maps join CNN 2 early, in the local path, or late."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from brats_cascade.models.two_path import FULL, Style, classify, two_path_features


@dataclass(frozen=True)
class Geometry:
    """Where a network looks, in pixels.

    Attributes:
        before: Pixels needed above and to the left of the pixel that is classified.
        after: Pixels needed below and to the right of it.
        joined: Side of CNN 1's output that CNN 2 needs for one output pixel; 0 without a cascade.
        step: Windows begin at multiples of these (rows, columns), and their sides are multiples.
        reads: What a window holds: "slice", pixels of one slice; "slabs" and "grid", as the two CNNs of the coarse cascade
            have it (`models.coarse`).
    """

    before: int
    after: int
    joined: int = 0
    step: tuple[int, int] = (1, 1)
    reads: str = "slice"

    @property
    def patch(self) -> int:
        """Side of the patch that gives one output pixel (REFERENCE.md section 2)."""
        return self.before + 1 + self.after

    @property
    def halo(self) -> tuple[int, int]:
        """Pixels before and after."""
        return self.before, self.after


RELU = "cnn1_relu"  # first layer of a CNN 2 that takes CNN 1's scores
CNN2 = Geometry(16, 16)  # every CNN 2 sees 33x33 of the image itself

# LocalCascadeCNN's 56 is even: its first local block's fields are 10 wide, so CNN 1's pixels fall between two; the
# classified pixel is the 28th of 56.
GEOMETRY: Mapping[str, Geometry] = {
    "two_path": Geometry(16, 16),
    "input_cascade": Geometry(32, 32, joined=33),
    "local_cascade": Geometry(27, 28, joined=24),
    "mf_cascade": Geometry(26, 26, joined=21),
    "unet": Geometry(32, 32),
    "coarse_cnn1": Geometry(10, 10, step=(2, 2), reads="slabs"),
    "coarse_cascade": Geometry(18, 18, step=(2, 2), reads="grid"),
}
# The paper's own have valid convolutions alone, so a slice gives exactly what its patches give; the yardstick has not.
PAPERS = ("two_path", "input_cascade", "local_cascade", "mf_cascade")
CASCADES = tuple(name for name, geometry in GEOMETRY.items() if geometry.joined)


def build_cnn2(architecture: str, *, modalities: int = 4, classes: int = 5, style: Style = FULL) -> keras.Model:
    """CNN 2 of one of the paper's cascades alone, with CNN 1's class maps as its second input.

    From [image (batch, r, c, modalities), maps as `cnn1_map_model` gives them (batch, r - 33 + j, c - 33 + j, classes)], with
    j = GEOMETRY[architecture].joined, to probabilities (batch, r - 32, c - 32, classes).
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
    """CNN 1 up to what CNN 2 wants of it: its probabilities, or its scores where CNN 2 begins with a ReLU on them.

    Layers and weights are shared; of a CNN 1 that this function gave it gives the same again.
    """
    if not any(layer.name == RELU for layer in cnn2.layers):
        return cnn1
    return keras.Model(cnn1.inputs, cnn1.get_layer("output").output, name="two_path_scores")


def join_cascade(architecture: str, *, cnn1: keras.Model, cnn2: keras.Model) -> keras.Model:
    """Puts CNN 1 and CNN 2 of one of the paper's cascades together into one network that needs the image alone.

    From (batch, r, c, modalities) to probabilities, each side smaller by the patch's side less 1.
    """
    image, whole = _joined(architecture, cnn1=cnn1, cnn2=cnn2)
    return keras.Model(image, whole, name=architecture)


def score_model(network: keras.Model) -> keras.Model:
    """The same network up to its float32 scores, before the softmax: what is trained; layers and weights are shared."""
    if network.name not in CASCADES:
        return keras.Model(network.inputs, network.get_layer("output").output)
    cnn2 = network.get_layer("cnn2")
    head = keras.Model(cnn2.inputs, cnn2.get_layer("output").output, name="cnn2")
    image, scores = _joined(network.name, cnn1=network.get_layer("cnn1"), cnn2=head)
    return keras.Model(image, scores)


def output_layer(network: keras.Model) -> keras.layers.Layer:
    """The last convolution of a network: that of CNN 2 in a joined cascade."""
    return (network.get_layer("cnn2") if network.name in CASCADES else network).get_layer("output")


def _joined(architecture: str, *, cnn1: keras.Model, cnn2: keras.Model) -> tuple[Any, Any]:
    """The image as Keras tensor, and what CNN 2 makes of it and of CNN 1's maps."""
    geometry = GEOMETRY[architecture]
    image = keras.Input((None, None, cnn1.input_shape[-1]), name="image")
    seen = cnn1_map_model(cnn1, cnn2=cnn2)  # under a name by which files and summaries say which CNN is which
    maps: Any = keras.Model(seen.inputs, seen.outputs[0], name="cnn1")(image)
    top, bottom = geometry.before - CNN2.before, geometry.after - CNN2.after
    centre = keras.layers.Cropping2D(((top, bottom), (top, bottom)), dtype="float32", name="centre")(image)
    return image, cnn2([centre, maps])
