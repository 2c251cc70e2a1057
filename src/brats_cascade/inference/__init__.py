"""Inference: dense prediction of whole volumes, post-processing, and segmentation files for case folders."""
