"""Builds a network from an architecture's name, and reads one from a file."""

from pathlib import Path
from typing import Any

import keras

from brats_cascade.errors import UserError, is_trouble, one_line
from brats_cascade.models.cascade import CASCADES, GEOMETRY, build_cnn2, join_cascade
from brats_cascade.models.coarse import COARSE, COARSE_CNN1, build_coarse_cnn1, build_coarse_cnn2, join_coarse
from brats_cascade.models.two_path import FULL, Style, build_two_path
from brats_cascade.models.unet import build_unet

# Cascade -> architecture of its CNN 1.
CNN1_OF = {**dict.fromkeys(CASCADES, "two_path"), COARSE: COARSE_CNN1}
SINGLE = {"two_path": build_two_path, "unet": build_unet, COARSE_CNN1: build_coarse_cnn1}


def build_model(
    architecture: str,
    *,
    modalities: int = 4,
    classes: int = 5,
    style: Style = FULL,
    cnn1: keras.Model | None = None,
) -> keras.Model:
    """Builds one of the four networks of the paper, the coarse cascade, its CNN 1, or the baseline, a U-Net.

    The network maps (batch, rows, columns, modalities) to float32 probabilities, each side smaller by the patch side minus 1;
    the patch side is 33 / 65 / 56 / 53 / 65 pixels for two_path / input_cascade / local_cascade / mf_cascade / unet. For the
    coarse cascade and its CNN 1 see `join_coarse` and `build_coarse_cnn1`.

    The architecture is a key of GEOMETRY. By default the style is full width with batch normalisation, and a cascade gets a
    new `cnn1`.

    Raises:
        ValueError: There is no such architecture.
    """
    if architecture not in GEOMETRY:
        raise ValueError(f"expected one of {list(GEOMETRY)}, received {architecture!r}")
    given: dict[str, Any] = {"modalities": modalities, "classes": classes, "style": style}
    if architecture in SINGLE:
        return SINGLE[architecture](**given)
    cnn1 = cnn1 or SINGLE[CNN1_OF[architecture]](**given)
    cnn2 = build_coarse_cnn2(**given) if architecture == COARSE else build_cnn2(architecture, **given)
    return join_cnns(architecture, cnn1=cnn1, cnn2=cnn2)


def join_cnns(architecture: str, *, cnn1: keras.Model, cnn2: keras.Model) -> keras.Model:
    """Joins a cascade's two CNNs with `join_cascade` or `join_coarse`."""
    if architecture == COARSE:
        return join_coarse(cnn1=cnn1, cnn2=cnn2)
    return join_cascade(architecture, cnn1=cnn1, cnn2=cnn2)


def load_network(path: Path) -> keras.Model:
    """Reads a network, not compiled, from a .keras file in Keras's safe mode. Importing this module registers its layers.

    Raises:
        UserError: The file is missing, damaged, or not a Keras file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such model file; expected what training writes, models/EXPERIMENT/model.keras")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # the archive, its JSON, its HDF5 and Keras each raise their own errors
        if is_trouble(error):
            raise
        found = f"{type(error).__name__}: {one_line(error)}"
        raise UserError(f"{path}: not a readable Keras model ({found}); train it again or restore the file") from None
