import json

import numpy as np
import pandas as pd
import pytest

from brats_cascade.data import patch_files
from brats_cascade.data.census import count_voxels
from brats_cascade.data.patch_files import write_patch_files
from brats_cascade.data.patches import draw_patch_sets
from brats_cascade.data.store import open_case, write_case


@pytest.fixture
def store(tmp_path, rng):
    for name in "ab":
        brain = np.ones((4, 9, 11), dtype=bool)
        labels = rng.integers(0, 5, size=brain.shape).astype(np.uint8)
        image = rng.normal(size=(*brain.shape, 4)).astype(np.float32)
        meta = {"shape": [4, 9, 11], "offset": [0, 0, 0], "scheme": "five"}
        write_case(tmp_path / "store", name=name, image=image, brain=brain, labels=labels, meta=meta)
    return tmp_path / "store"


@pytest.mark.parametrize("size", [1, 5, 6, 13])
def test_shards_hold_what_a_naive_cut_gives(store, tmp_path, monkeypatch, size):
    monkeypatch.setattr(patch_files, "SHARD", 40)
    folders = [store / name for name in "ab"]
    table = draw_patch_sets(folders, census=count_voxels(folders, classes=range(5)), phase2=100, seed=0)["phase2"]
    files = write_patch_files(table, volumes=store, out=tmp_path / "out", name="phase2", size=size, seed=3)
    paths = sorted((tmp_path / "out").glob("phase2-*.npz"))
    assert files == len(paths) == 3
    shards = [dict(np.load(path)) for path in paths]
    assert [len(shard["label"]) for shard in shards] == [40, 40, 20]
    places = {key: np.concatenate([shard[key] for shard in shards]) for key in shards[0]}
    assert places["image"].shape == (100, size, size, 4) and places["image"].dtype == np.float32
    half, padded = size // 2, {}
    for name in "ab":
        around = ((0, 0), (half, size), (half, size), (0, 0))
        padded[name] = np.pad(np.asarray(open_case(store / name).image), around)
    for number in range(100):
        case, slice_, row, column = (places[key][number] for key in ("case", "slice", "row", "column"))
        expected = padded[case][slice_, row : row + size, column : column + size]
        np.testing.assert_array_equal(places["image"][number], expected)
        assert places["label"][number] == open_case(store / case).labels[slice_, row, column]
    drawn = pd.DataFrame({key: places[key] for key in ("case", "slice", "row", "column")})
    keys = list(drawn)
    assert drawn.sort_values(keys).values.tolist() == table[keys].sort_values(keys).values.tolist()  # noqa: PD011
    assert not drawn.equals(table[keys])  # in a random order
    about = json.loads((tmp_path / "out" / "phase2.json").read_text())
    assert (about["patches"], about["files"], about["size"]) == (100, 3, size)


def test_the_same_seed_gives_the_same_files(store, tmp_path):
    census = count_voxels([store / "a"], classes=range(5))
    table = draw_patch_sets([store / "a"], census=census, phase2=50, seed=0)["phase2"]
    for place in ("x", "y"):
        write_patch_files(table, volumes=store, out=tmp_path / place, name="p", size=5, seed=1)
    first, second = (np.load(tmp_path / place / "p-00000.npz")["image"] for place in ("x", "y"))
    np.testing.assert_array_equal(first, second)
