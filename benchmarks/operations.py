"""Multiplications and additions needed by full-width networks (K = 2), counted per layer for the pixels of each."""

from collections.abc import Iterator

import numpy as np

from brats_cascade.data.grid import block_means


def layer(rows: float, columns: float, *, size: int, inputs: int, outputs: int) -> float:
    """Multiplications and additions of a convolution that gives rows x columns pixels."""
    return 2.0 * rows * columns * size**2 * inputs * outputs


def two_path_operations(*, rows: int, columns: int, channels: int = 4, classes: int = 5) -> float:
    """Multiplications and additions that a full-width TwoPathCNN needs for rows x columns output pixels.

    Counted layer by layer on the pixels that each valid convolution must give, K = 2; the output layer as its one 21x21
    convolution.
    """

    return (
        layer(rows + 26, columns + 26, size=7, inputs=channels, outputs=128)
        + layer(rows + 21, columns + 21, size=3, inputs=64, outputs=128)
        + layer(rows + 20, columns + 20, size=13, inputs=channels, outputs=320)
        + layer(rows, columns, size=21, inputs=224, outputs=classes)
    )


def input_cascade_operations(*, rows: int, columns: int, classes: int = 5) -> float:
    """The same for InputCascadeCNN: CNN 1 on 16 pixels more on every side, CNN 2 with its probabilities as channels."""
    first = two_path_operations(rows=rows + 32, columns=columns + 32, classes=classes)
    return first + two_path_operations(rows=rows, columns=columns, channels=4 + classes, classes=classes)


def coarse_cnn2_operations(rows: int, columns: int, *, classes: int = 4, maxout: int = 2) -> float:
    """CNN 2 at full width, K = `maxout`, for rows x columns pixels in cells of 2 x 2."""
    total = layer(rows + 8, columns + 8, size=3, inputs=4, outputs=16 * maxout)
    total += layer(rows + 6, columns + 6, size=3, inputs=16, outputs=16 * maxout)
    for number, far in enumerate((16, 14, 12, 8, 4)):
        total += layer(
            rows / 2 + far, columns / 2 + far, size=3, inputs=40 if number else 12 + classes, outputs=40 * maxout
        )
    total += layer(rows / 2 + 4, columns / 2 + 4, size=1, inputs=40, outputs=64 * maxout)
    total += layer(rows + 4, columns + 4, size=3, inputs=32, outputs=16 * maxout)
    return total + layer(rows, columns, size=5, inputs=16, outputs=classes)


def unet_operations(rows: int, columns: int, *, classes: int = 4, channels: int = 4, halo: int = 32) -> float:
    """A U-Net at full width for rows x columns outputs: on `halo` more to every side, rounded up to a multiple of 16."""
    tall, wide = (-(-(side + 2 * halo) // 16) * 16 for side in (rows, columns))
    maps, total = [channels, 16, 32, 64, 128, 256], layer(rows, columns, size=1, inputs=16, outputs=classes)
    for level in range(5):
        here, before = maps[level + 1], maps[level]
        pair = layer(tall / 2**level, wide / 2**level, size=3, inputs=1, outputs=here)
        total += pair * (before + here)
        if level < 4:  # up: joined maps, then own ones; and the transposed convolution
            total += pair * 3 * here + layer(tall / 2**level, wide / 2**level, size=1, inputs=2 * here, outputs=here)
    return total


def case_operations(
    architecture: str, *, brain: np.ndarray, classes: int = 4, maxout: int = 2, cnn1s: int = 1
) -> float:
    """What a case needs: every slice's own brain box, not rounded; less than is computed, which is whole batches of slices.

    Args:
        architecture: "input_cascade", "coarse_cascade" (voxels of 1 mm) or "unet".
        brain: bool (slices, rows, columns).
        classes: Of the network.
        maxout: K of a coarse cascade's CNN 2.
        cnn1s: The number of CNN 1s whose mean a coarse cascade uses.
    """
    if architecture == "input_cascade":
        return sum(
            input_cascade_operations(rows=rows, columns=columns, classes=classes)
            for rows, columns in _boxes(brain, align=1)
        )
    if architecture == "unet":
        return sum(unet_operations(rows, columns, classes=classes) for rows, columns in _boxes(brain, align=2))
    fine = sum(
        coarse_cnn2_operations(rows, columns, classes=classes, maxout=maxout)
        for rows, columns in _boxes(brain, align=2)
    )
    cells = block_means(brain, steps=(2, 2, 2)) > 0
    first = sum(
        unet_operations(rows, columns, classes=classes, channels=25, halo=16)
        for rows, columns in _boxes(cells, align=1)
    )
    return cnn1s * first + fine


def _boxes(brain: np.ndarray, *, align: int) -> Iterator[tuple[int, int]]:
    from brats_cascade.inference.dense import brain_windows

    for window in brain_windows(brain, slices=1, step=1, align=(align, align)):
        yield window[-2:]


def training_operations(architecture: str, *, side: int, classes: int = 4) -> float:
    """One window with side x side outputs, of the CNN that a training moves: of a cascade CNN 2.

    Forward, kernel gradients, and gradients to every input but the images and maps that are given: three passes less one of the
    first layers.
    """
    if architecture in ("two_path", "input_cascade"):
        channels = 4 if architecture == "two_path" else 4 + classes
        forward = two_path_operations(rows=side, columns=side, channels=channels, classes=classes)
        first = layer(side + 26, side + 26, size=7, inputs=channels, outputs=128)
        first += layer(side + 20, side + 20, size=13, inputs=channels, outputs=320)
    elif architecture == "unet":
        forward, wide = unet_operations(side, side, classes=classes), -(-(side + 64) // 16) * 16
        first = layer(wide, wide, size=3, inputs=4, outputs=16)
    else:
        forward = coarse_cnn2_operations(side, side, classes=classes)
        first = layer(side + 8, side + 8, size=3, inputs=4, outputs=32)
        first += layer(side / 2 + 16, side / 2 + 16, size=3, inputs=12 + classes, outputs=80)
    return 3 * forward - first
