"""The embedded default cohort: synthetic BRATS patients on real average anatomy (see docs/phantom.md).

Arrays are (x, y, z), RAS; `spacing` is the side of the cubic voxels, mm; every random number comes from `rng`.
"""

from brats_cascade.data.phantom.cohort import make_cohort

__all__ = ["make_cohort"]
