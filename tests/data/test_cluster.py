"""Ingest over a Dask cluster: a local scheduler, two worker processes, one of them killed on the way."""

import signal
import sys
from pathlib import Path

import pytest
from dask_cluster import dask_cluster, killing_one
from layouts import tiny_volumes, write_layout

from brats_cascade.data.cases import find_cases
from brats_cascade.data.ingest import ingest
from brats_cascade.data.store import list_cases
from brats_cascade.errors import UserError
from brats_cascade.params import Recipe

COUNT = 10


@pytest.fixture
def cases(tmp_path, monkeypatch):
    """Some cases, large enough that a worker is in the middle of one when it dies."""
    for number in range(COUNT):
        images, labels = tiny_volumes(seed=number, shape=(90, 90, 90))
        write_layout(tmp_path / "in" / f"{number}", "brats2017", images=images, labels=labels)
        for path in sorted((tmp_path / "in" / f"{number}").rglob("Brats18*"), reverse=True):
            path.rename(path.with_name(path.name.replace("ABC", f"N{number}")))
    monkeypatch.chdir(tmp_path)
    return find_cases(Path("in"))  # relative, as data.source is


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and two worker processes of one thread each, started elsewhere."""
    pytest.importorskip("distributed", reason="Dask is not installed (the extra `cluster`)")
    with dask_cluster(tmp_path) as found:
        yield found


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # Dask's and Tornado's own
def test_a_cohort_over_two_workers_of_which_one_is_killed(cases, cluster, tmp_path):
    address, workers = cluster
    store = Path("store")
    with killing_one(workers, done=lambda: len(list_cases(store)), at=2) as killed_at:
        table = ingest(cases, root=store, kept=Path("kept"), recipe=Recipe(clip=0.01), workers=1, scheduler=address)
    assert killed_at and killed_at[0] < COUNT, "the worker was to be killed while there was work left"
    assert workers[0].wait(30) == -signal.SIGKILL and workers[1].poll() is None
    assert table["stored"].all() and len(table) == COUNT
    assert list_cases(store) == sorted(case.name for case in cases)
    alone = ingest(cases, root=tmp_path / "alone", kept=tmp_path / "k", recipe=Recipe(clip=0.01), workers=1)
    assert table.equals(alone)
    for path in (tmp_path / "alone").rglob("*.*"):
        assert path.read_bytes() == (store / path.relative_to(tmp_path / "alone")).read_bytes()
    # What the killed worker left half written is hidden, and the next run takes it away.
    assert ingest(cases, root=store, kept=Path("kept"), recipe=Recipe(clip=0.01), workers=1).equals(table)
    assert not [entry for entry in store.iterdir() if entry.name.startswith(".")]


@pytest.fixture
def ingest_at_nobody(tmp_path, write_nifti_case):
    """Ingest by a scheduler that is not there."""
    cases = find_cases(write_nifti_case(tmp_path / "in", "A"))
    places = {"root": tmp_path / "store", "kept": tmp_path / "kept", "recipe": Recipe(clip=0.01), "workers": 1}
    return lambda: ingest(cases, **places, scheduler="tcp://127.0.0.1:1")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_no_scheduler_is_told_in_one_line(ingest_at_nobody):
    pytest.importorskip("distributed", reason="Dask is not installed (the extra `cluster`)")
    with pytest.raises(UserError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 .*start one with"):
        ingest_at_nobody()


def test_dask_that_is_not_installed_is_told(ingest_at_nobody, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"scheduler: needs Dask, which is not installed: install the extra"):
        ingest_at_nobody()
