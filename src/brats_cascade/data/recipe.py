"""How slices are cut."""

# Axis along which the slices follow each other -> order of the canonical axes (up, forwards, right) in the store.
AXES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}


def has_mirrors(axis: str) -> bool:
    """Whether reversing the columns of such a slice exchanges left and right; in a sagittal one it does front and back."""
    return AXES[axis][2] == 2
