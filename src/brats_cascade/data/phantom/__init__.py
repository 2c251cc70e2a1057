"""The built-in default cohort: synthetic BRATS patients with real average anatomy (see docs/phantom.md).

Arrays are (x, y, z), RAS; `spacing` is the side of the cubic voxels in mm; all random numbers come from `rng`.
"""

from brats_cascade.data.phantom.cohort import make_cohort

__all__ = ["make_cohort"]
