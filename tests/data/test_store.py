import hashlib

import numpy as np
import pytest

from brats_cascade.data import store
from brats_cascade.errors import UserError


def arrays(rng, *, labels=True):
    return {
        "image": rng.normal(size=(3, 4, 5, 4)).astype(np.float32),
        "brain": rng.random((3, 4, 5)) > 0.5,
        "labels": rng.integers(0, 5, size=(3, 4, 5)).astype(np.uint8) if labels else None,
    }


def test_what_goes_in_comes_out_memory_mapped(tmp_path, rng):
    given = arrays(rng)
    folder = store.write_case(tmp_path, name="a b", meta={"offset": [1, 2, 3]}, **given)
    case = store.open_case(folder)
    assert case.name == "a b"
    assert case.meta.pop("arrays") == {
        path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.glob("*.npy")
    }
    assert case.meta == {"offset": [1, 2, 3]}
    for part, values in given.items():
        stored = getattr(case, part)
        assert isinstance(stored, np.memmap)
        assert stored.dtype == values.dtype
        assert not stored.flags.writeable
        np.testing.assert_array_equal(stored, values)
    assert store.list_cases(tmp_path) == ["a b"]


def test_a_case_without_truth(tmp_path, rng):
    assert store.open_case(store.write_case(tmp_path, name="a", meta={}, **arrays(rng, labels=False))).labels is None


def test_replacing_a_case_leaves_nothing_of_the_old_one(tmp_path, rng):
    store.write_case(tmp_path, name="a", meta={"n": 1}, **arrays(rng))
    folder = store.write_case(tmp_path, name="a", meta={"n": 2}, **arrays(rng, labels=False))
    assert store.open_case(folder).meta["n"] == 2
    assert store.open_case(folder).labels is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_write_that_dies_keeps_the_old_case_and_shows_no_half(tmp_path, rng, monkeypatch, dies_at):
    old = arrays(rng)
    store.write_case(tmp_path, name="a", meta={}, **old)
    calls = []
    real = store._save

    def save(path, values):
        calls.append(path)
        if len(calls) == dies_at:
            raise KeyboardInterrupt
        real(path, values)

    monkeypatch.setattr(store, "_save", save)
    for name in ("a", "b"):
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            store.write_case(tmp_path, name=name, meta={}, **arrays(rng))
    assert store.list_cases(tmp_path) == ["a"]
    np.testing.assert_array_equal(store.open_case(tmp_path / "a").image, old["image"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_swept_away(tmp_path, rng):
    store.write_case(tmp_path, name="a", meta={}, **arrays(rng))
    (tmp_path / "a").rename(tmp_path / ".b.1.2")
    store.write_case(tmp_path, name="a", meta={}, **arrays(rng))
    assert store.list_cases(tmp_path) == ["a"]
    store.remove_drafts(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_deleting(tmp_path, rng):
    store.write_case(tmp_path, name="a", meta={}, **arrays(rng))
    store.delete_case(tmp_path, name="a")
    store.delete_case(tmp_path, name="never was")
    assert list(tmp_path.iterdir()) == []
    assert store.list_cases(tmp_path / "absent") == []


def test_a_folder_without_a_case_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"expected a case of the volume store.*run the ingest stage"):
        store.open_case(tmp_path / "absent")
    assert store.read_meta(tmp_path) is None


def test_meta_holds_only_what_every_json_reader_reads(tmp_path, rng):
    with pytest.raises(ValueError, match="JSON compliant"):
        store.write_case(tmp_path, name="a", meta={"x": float("nan")}, **arrays(rng))
    assert store.list_cases(tmp_path) == []
