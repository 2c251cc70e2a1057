"""From an architecture's name to a network, and from a file back to it."""

from pathlib import Path

import keras

from brats_cascade.errors import UserError, is_trouble, one_line
from brats_cascade.models.cascade import CASCADES, GEOMETRY, build_cnn2, join_cascade
from brats_cascade.models.coarse import COARSE, COARSE_CNN1, build_coarse_cnn1, build_coarse_cnn2, join_coarse
from brats_cascade.models.two_path import Style, build_two_path
from brats_cascade.models.unet import build_unet

# What is built on a CNN 1 -> that one's architecture.
CNN1_OF = {**dict.fromkeys(CASCADES, "two_path"), COARSE: COARSE_CNN1}


def build_model(
    architecture: str,
    *,
    modalities: int = 4,
    classes: int = 5,
    style: Style | None = None,
    cnn1: keras.Model | None = None,
) -> keras.Model:
    """Builds one of the four networks of the paper, the coarse cascade, its CNN 1, or the yardstick, a U-Net.

    Args:
        architecture: A key of GEOMETRY.
        modalities: Channels of the image.
        classes: Output classes.
        style: Width, normalisation and the rest.
        cnn1: CNN 1 of a cascade, trained; a new one by default.

    Returns:
        Model from (batch, rows, columns, modalities) to float32 probabilities, each side smaller by the patch's side
        less 1: 33 / 65 / 56 / 53 / 65 pixels for two_path / input_cascade / local_cascade / mf_cascade / unet. The coarse
        cascade and its CNN 1 are as `join_coarse` and `build_coarse_cnn1` have them.

    Raises:
        ValueError: No architecture has this name.
    """
    if architecture not in GEOMETRY:
        raise ValueError(f"expected one of {list(GEOMETRY)}, received {architecture!r}")
    if architecture == "two_path":
        return build_two_path(modalities=modalities, classes=classes, style=style)
    if architecture == "unet":
        return build_unet(modalities=modalities, classes=classes, style=style)
    if architecture == COARSE_CNN1:
        return build_coarse_cnn1(modalities=modalities, classes=classes, style=style)
    cnn1 = cnn1 or build_model(CNN1_OF[architecture], modalities=modalities, classes=classes, style=style)
    if architecture == COARSE:
        cnn2 = build_coarse_cnn2(modalities=modalities, classes=classes, style=style)
    else:
        cnn2 = build_cnn2(architecture, modalities=modalities, classes=classes, style=style)
    return join_cnns(architecture, cnn1=cnn1, cnn2=cnn2)


def join_cnns(architecture: str, *, cnn1: keras.Model, cnn2: keras.Model) -> keras.Model:
    """A cascade's two networks as one, as `join_cascade` or `join_coarse` does it."""
    if architecture == COARSE:
        return join_coarse(cnn1=cnn1, cnn2=cnn2)
    return join_cascade(architecture, cnn1=cnn1, cnn2=cnn2)


def load_network(path: Path) -> keras.Model:
    """Reads a network from a .keras file in Keras's safe mode.

    Args:
        path: The file.

    Returns:
        The network, not compiled.

    Raises:
        UserError: The file is missing, no Keras file, or damaged.
    """
    import brats_cascade.models.layers  # noqa: F401  (registers the custom layers)

    if not path.is_file():
        raise UserError(f"{path}: no such model file; expected what training writes, models/EXPERIMENT/model.keras")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of the archive, its JSON, its HDF5 or Keras: each names damage in its own way
        if is_trouble(error):
            raise
        found = f"{type(error).__name__}: {one_line(error)}"
        raise UserError(f"{path}: not a readable Keras model ({found}); train it again or restore the file") from None
