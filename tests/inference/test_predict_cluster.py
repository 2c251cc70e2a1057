"""Prediction over a Dask cluster: a local scheduler, two worker processes, one of them killed on the way."""

import signal

import pytest
from dask_cluster import dask_cluster, killing_one
from typer.testing import CliRunner

from brats_cascade import cli

NAMES = [f"Brats18_{letter}_1" for letter in "ABCDEF"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # Dask's and Tornado's own
def test_the_cases_of_a_worker_that_is_killed_are_segmented_too(tmp_path, trained, write_nifti_case) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed (the extra `cluster`)")
    for number, name in enumerate(NAMES):
        write_nifti_case(tmp_path / "in", name, seed=number, shape=(48, 52, 40), truth=False)
    words = ["predict", str(tmp_path / "in"), "--model", str(trained())]
    out, alone = tmp_path / "out", tmp_path / "alone"
    with (
        dask_cluster(tmp_path) as (address, workers),
        killing_one(workers, done=lambda: len(list(out.glob("*_seg.nii.gz"))), at=2) as killed_at,
    ):
        done = CliRunner().invoke(cli.app, [*words, "--out", str(out), "--scheduler", address])
        assert done.exit_code == 0, done.output
        assert workers[0].wait(30) == -signal.SIGKILL and workers[1].poll() is None
    assert killed_at and killed_at[0] < len(NAMES), "the worker was to be killed while there was work left"
    assert CliRunner().invoke(cli.app, [*words, "--out", str(alone)]).exit_code == 0
    assert sorted(path.name for path in out.glob("*.nii.gz")) == [f"{name}_seg.nii.gz" for name in NAMES]
    for path in out.glob("*.nii.gz"):
        assert path.read_bytes() == (alone / path.name).read_bytes(), path.name
    rows, expected = ((folder / "volumes.csv").read_text().splitlines() for folder in (out, alone))
    assert sorted(rows) == sorted(expected) and len(rows) == 1 + len(NAMES)
