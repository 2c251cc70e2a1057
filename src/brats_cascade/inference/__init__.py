"""Inference: whole volumes at once, post-processing, a case folder to a segmentation file."""
