"""The embedded default cohort: synthetic BRATS patients on real average anatomy (see docs/phantom.md)."""

from brats_cascade.data.phantom.cohort import make_cohort

__all__ = ["make_cohort"]
