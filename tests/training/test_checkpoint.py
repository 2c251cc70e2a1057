"""Checkpoints: whole or not there; a damaged one and a full disk cost one line."""

import errno
import logging
from pathlib import Path

import numpy as np
import pytest

from brats_cascade.training import checkpoint
from brats_cascade.training.checkpoint import (
    Checkpoint,
    Progress,
    assign_values,
    read_checkpoint,
    save_checkpoint,
    values_of,
)

GROUPS = {
    "last": [np.arange(6.0).reshape(2, 3), np.array(7, np.int32), np.array([1, 2], np.uint32)],
    "best": [np.ones(4)],
}
PROGRESS = Progress(step=3, history=[{"loss": 0.1, "check": 1}])
WHOLE = Checkpoint(PROGRESS, "x", GROUPS)


def test_a_checkpoint_gives_back_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "new" / "checkpoint.npz"
    save_checkpoint(path, WHOLE)
    found = read_checkpoint(path)
    assert found is not None and (found.progress, found.fingerprint) == (PROGRESS, "x")
    assert list(found.groups) == ["last", "best"]
    for name, arrays in GROUPS.items():
        for one, other in zip(found.groups[name], arrays, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
    assert [item.name for item in path.parent.iterdir()] == ["checkpoint.npz"]


def test_more_than_ten_variables_keep_their_order(tmp_path: Path) -> None:
    arrays = [np.full(2, number) for number in range(23)]
    save_checkpoint(tmp_path / "c.npz", Checkpoint(PROGRESS, "x", {"last": arrays}))
    found = read_checkpoint(tmp_path / "c.npz")
    assert found is not None and [int(array[0]) for array in found.groups["last"]] == list(range(23))


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.9])
def test_a_damaged_checkpoint_starts_anew_with_a_line(tmp_path: Path, keep: float, caplog) -> None:
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, Checkpoint(PROGRESS, "x", {"last": [np.random.default_rng(0).normal(size=5000)]}))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else keep])
    with caplog.at_level(logging.WARNING):
        assert read_checkpoint(path) is None
    assert len(caplog.records) == 1
    assert "damaged checkpoint" in caplog.text and "starting a new training" in caplog.text and str(path) in caplog.text


def test_one_flipped_byte_is_noticed(tmp_path: Path, caplog) -> None:
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, Checkpoint(PROGRESS, "x", {"last": [np.zeros(5000)]}))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))
    assert read_checkpoint(path) is None


def test_a_full_disk_keeps_the_earlier_checkpoint_and_costs_one_line(tmp_path: Path, caplog, monkeypatch) -> None:
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, WHOLE)

    def full(file, **arrays) -> None:
        file.write(b"PK half a file")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", full)
    with caplog.at_level(logging.WARNING):
        save_checkpoint(path, Checkpoint(Progress(step=4), "x", GROUPS))
    assert len(caplog.records) == 1 and "\n" not in caplog.records[0].getMessage()
    assert "No space left on device" in caplog.text and "free some space" in caplog.text
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.npz"]
    found = read_checkpoint(path)
    assert found is not None and found.progress == PROGRESS


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "checkpoint.npz") is None


def test_values_go_back_into_their_variables() -> None:
    import keras

    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    kept = values_of(layer.variables)
    layer.kernel.assign(np.full((2, 3), 9.0))
    assert kept[0].max() < 9  # copies
    assign_values(layer.variables, kept)
    np.testing.assert_array_equal(values_of(layer.variables)[0], kept[0])
    with pytest.raises(ValueError, match="shorter"):
        assign_values(layer.variables, kept[:1])
