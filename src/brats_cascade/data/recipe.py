"""How intensities are treated and slices are cut: one value that says how a stored case was made."""

from dataclasses import asdict, dataclass
from typing import Any

from brats_cascade.errors import UserError

# Axis along which the slices follow each other -> order of the canonical axes (up, forwards, right) in the store.
AXES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
ZSCORES = ("brain", "volume")


@dataclass(frozen=True)
class Recipe:
    """The parameters of preprocessing.

    Attributes:
        clip: Share of the brain's intensities cut at either end of each modality (paper section 4: 0.01).
        n4: Whether N4 bias correction is applied to T1 and T1c after the clipping (paper section 4); minutes a case.
        zscore: Mean and deviation of the "brain" or of the whole "volume"; the air itself stays 0.
        axis: A key of AXES; "coronal" is the earlier work's second axis.
    """

    clip: float
    n4: bool = False
    zscore: str = "brain"
    axis: str = "axial"

    def __post_init__(self) -> None:
        if not 0 <= self.clip < 0.5:
            raise UserError(f"ingest.clip: expected 0 <= clip < 0.5, received {self.clip}")
        if self.zscore not in ZSCORES:
            raise UserError(f"ingest.zscore: expected one of {', '.join(ZSCORES)}, received {self.zscore!r}")
        if self.axis not in AXES:
            raise UserError(f"ingest.axis: expected one of {', '.join(AXES)}, received {self.axis!r}")

    def as_dict(self) -> dict[str, Any]:
        """For a case's meta."""
        return asdict(self)


def has_mirrors(axis: str) -> bool:
    """Whether reversing the columns of such a slice exchanges left and right; in a sagittal one it does front and back."""
    return AXES[axis][2] == 2
