"""From a folder of any release to tables and memory-mapped volumes.

releases (what a release looks like) -> cases (find them) -> images (read, write) -> preprocess (arithmetic) ->
prepare (one case) -> store (on disk) -> ingest (all cases); writeback puts a segmentation into the case's own grid.
"""
