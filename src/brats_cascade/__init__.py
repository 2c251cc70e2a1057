"""Cascaded two-pathway CNNs for brain tumour segmentation (Havaei et al., arXiv 1505.03540)."""

__version__ = "0.1.0"

# Channel order of every image in this project (paper section 1).
MODALITIES = ("flair", "t1", "t1c", "t2")
# The release of the synthetic patients, which distinguishes them from real ones.
PHANTOM = "phantom"
MAX_GB = 3.0  # default memory limit for reading and preprocessing one case
