"""Writes patches to files for other tools; this project's own training reads the volume store."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brats_cascade import MODALITIES
from brats_cascade.data.store import open_case
from brats_cascade.data.windows import cut_window
from brats_cascade.shared import write_json, written_whole

SHARD = 4096  # patches per file; with 4 modalities and 65x65 pixels this is 276 MB


def write_patch_files(table: pd.DataFrame, *, volumes: Path, out: Path, name: str, size: int, seed: int) -> int:
    """Writes a patch set as uncompressed NPZ shards in random order; returns their number.

    A shard `{name}-00000.npz` holds `image` float32 (n, size, size, modalities), `label` uint8 (n,), and `case`, `slice`,
    `row` and `column` of each patch; `{name}.json` has the number of shards. If the size is even, the centre is the pixel
    after the middle. Pixels outside the brain's box are 0, like all air.

    Args:
        table: Centres, from draw_patch_sets.
        volumes: The store.
        out: Folder for the files.
        name: Name of the set.
        size: Side of a patch, pixels.
        seed: Seed for the order.
    """
    order = np.random.default_rng([seed, size]).permutation(len(table))
    shuffled = table.iloc[order].reset_index(drop=True)
    files = 0
    for start in range(0, len(shuffled), SHARD):
        part = shuffled.iloc[start : start + SHARD]
        images = np.zeros((len(part), size, size, len(MODALITIES)), dtype=np.float32)
        # one case is open at a time, and its slices are read in their order on disk
        for case, rows in part.groupby("case", sort=True):
            stored = open_case(volumes / str(case)).image
            for place, index, row, column in rows[["slice", "row", "column"]].sort_values("slice").itertuples():
                top, left = int(row) - size // 2, int(column) - size // 2
                images[place - start] = cut_window(stored[index], top=top, left=left, rows=size, columns=size)
        arrays: dict[str, Any] = {axis: part[axis].to_numpy(np.int16) for axis in ("slice", "row", "column")}
        arrays |= {"image": images, "label": part["label"].to_numpy(np.uint8), "case": part["case"].to_numpy(dtype="U")}
        with written_whole(out / f"{name}-{files:05}.npz") as draft:
            np.savez(draft, **arrays)
        files += 1
    about = {"patches": len(table), "files": files, "size": size, "modalities": list(MODALITIES), "seed": seed}
    write_json(out / f"{name}.json", about)
    return files
