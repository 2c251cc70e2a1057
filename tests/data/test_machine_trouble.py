"""A full disk, no memory, no open files left: the stage ends with one line, and no case is blamed for it."""

import errno
import os

import pytest
from limits import no_more_files, small_files

from brats_cascade import MODALITIES
from brats_cascade.data import store as store_module
from brats_cascade.data.cases import find_cases
from brats_cascade.data.checks import judge_cases
from brats_cascade.data.ingest import ingest
from brats_cascade.data.phantom import cohort as cohort_module
from brats_cascade.data.phantom import make_cohort
from brats_cascade.data.store import list_cases
from brats_cascade.errors import MachineError, UserError
from brats_cascade.params import Recipe


def run(folder, *, workers=1):
    return ingest(
        find_cases(folder / "in"),
        root=folder / "store",
        kept=folder / "kept",
        recipe=Recipe(clip=0.01),
        workers=workers,
    )


def drafts(folder):
    return [path for path in folder.rglob(".*") if path.is_file() or any(path.iterdir())]


@pytest.fixture
def cohort(tmp_path, write_nifti_case):
    for seed, name in enumerate("ABC"):
        write_nifti_case(tmp_path / "in", name, seed=seed)
    return tmp_path


TROUBLE = {
    "disk full": (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; free some space"),
    "permission": (PermissionError(errno.EACCES, "x"), "Permission denied; give yourself permission"),
    "memory": (MemoryError("Unable to allocate 3 GiB"), "B: not enough memory Unable to allocate 3 GiB; close other"),
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_trouble_while_a_case_is_written_ends_ingest_and_excludes_nobody(cohort, monkeypatch, kind):
    error, message = TROUBLE[kind]
    real = store_module._save

    def save(path, array):
        if path.name == "brain.npy" and path.parent.parent.name == "B":
            raise error
        real(path, array)

    monkeypatch.setattr(store_module, "_save", save)
    with pytest.raises(MachineError, match=message) as caught:
        run(cohort)
    assert "B" in str(caught.value) and "\n" not in str(caught.value)
    assert list_cases(cohort / "store") == ["A"] and not drafts(cohort)
    monkeypatch.setattr(store_module, "_save", real)
    table = run(cohort)
    assert table["stored"].all() and (table["problem"] == "").all()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_case_that_cannot_take_its_place_tells_why(cohort, monkeypatch, code):
    def replace(draft, target):
        raise OSError(code, os.strerror(code), str(draft))

    monkeypatch.setattr("pathlib.Path.replace", replace)
    with pytest.raises(MachineError, match=os.strerror(code)):
        run(cohort)


@pytest.mark.slow
def test_worker_processes_end_ingest_too(cohort):
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown()  # processes of other tests know no limit
    with small_files(9000), pytest.raises(MachineError, match=r"kept/./\w+: File too large; raise"):
        run(cohort, workers=2)
    get_reusable_executor().shutdown()
    assert not list_cases(cohort / "store") and not drafts(cohort / "store")
    assert run(cohort, workers=2)["stored"].all()
    assert not drafts(cohort)  # of a worker that was ended with the other's trouble
    get_reusable_executor().shutdown()  # they stay in this folder, which other tests leave


def test_no_open_files_left_is_no_fault_of_a_volume(cohort):
    run(cohort)
    with no_more_files(), pytest.raises(OSError, match="Too many open files"):
        run(cohort)


def test_a_phantom_that_does_not_fit_is_not_there_at_all(tmp_path, monkeypatch, rng):
    volume = rng.integers(0, 900, (40, 40, 40)).astype("int16")
    patient = cohort_module.Patient(dict.fromkeys(MODALITIES, volume), (volume > 800).astype("uint8"), None, None)
    monkeypatch.setattr(cohort_module, "load_template", lambda spacing: None)
    monkeypatch.setattr(cohort_module, "make_patient", lambda *_, **__: patient)
    numbers = {"patients": 2, "high_grade": 1, "seed": 0, "spacing": 4.0}
    with small_files(30_000), pytest.raises(OSError, match="mha") as caught:
        make_cohort(tmp_path, **numbers)
    assert caught.value.errno in (errno.EFBIG, errno.EIO)
    assert not list(tmp_path.iterdir())
    assert make_cohort(tmp_path, **numbers) == [tmp_path / "Image_Data" / place / "0001" for place in ("HG", "LG")]
    with pytest.raises(UserError, match="already holds a cohort"):
        make_cohort(tmp_path, **numbers)


@pytest.mark.slow
def test_a_page_that_great_expectations_cannot_write_is_told_and_none_is_left(cohort):
    table = run(cohort)
    with small_files(5000), pytest.raises(OSError, match="File too large") as caught:
        judge_cases(table, docs=cohort / "docs")
    assert caught.value.filename == str(cohort / "docs/great_expectations")
    assert not (cohort / "docs").exists()
    assert judge_cases(table, docs=cohort / "docs").accepted == ("A", "B", "C")
