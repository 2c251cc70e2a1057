"""Finds the cases in a folder of any supported release, and turns them into tables and memory-mapped volumes.

releases (the layout of each release) -> cases (find them) -> images (read and write files) -> preprocess (arithmetic)
-> prepare (one case) -> store (on disk) -> ingest (all cases). writeback puts a segmentation onto the case's own grid.
"""
