"""The axis along which volumes are cut into slices."""

# Slicing axis -> order of the canonical axes (up, forwards, right) in the store.
AXES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}


def has_mirrors(axis: str) -> bool:
    """Whether reversing the columns of a slice exchanges left and right; in a sagittal slice it exchanges front and back."""
    return AXES[axis][2] == 2
