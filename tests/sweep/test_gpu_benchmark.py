"""The benchmark of a GPU in miniature on JAX's processor backend, with nothing importable that its host need not have."""

import importlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import unmeasured

ROOT = Path(__file__).parents[2]
BLOCKED = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"dvc", "git", "SimpleITK", "great_expectations", "tensorflow"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def benchmark(folder: Path, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (folder, ROOT, ROOT / "src")))
    fast = {"XLA_FLAGS": "--xla_backend_optimization_level=0", "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *words], cwd=folder, env=unmeasured(**fast, **changes),
        capture_output=True, text=True, timeout=540, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.long
def test_a_miniature_of_all_parts(make_project: Callable[..., Path]) -> None:
    root = make_project()
    (root / "sitecustomize.py").write_text(BLOCKED, encoding="utf-8")
    done = benchmark(root, "--out", "out", "--small", "--commit", "abc", CUDA_VISIBLE_DEVICES="-1")
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((root / "out" / "gpu.json").read_text(encoding="utf-8"))
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in record["rows"]:
        parts.setdefault(row["part"], []).append(row)
    assert set(parts) == {"sweep", "losses", "rate", "case", "step", "layer", "goals"} and record["commit"] == "abc"

    (sweep,) = parts["sweep"]
    assert (sweep["complete"], sweep["failed"], sweep["left unfinished"], sweep["nothing lost"]) == (3, 0, 0, "yes")
    assert "trials running" in sweep["killed"]
    assert (sweep["lost by the kill"], sweep["requeued"], sweep["gone on from a checkpoint"]) == (1, 1, 1)
    assert sweep["MLflow runs of trials"] == "3 FINISHED" and sweep["second command's status"] == 0
    with tarfile.open(root / "out" / "sweep.tar.gz") as archive:
        assert {"optuna.db", "mlflow.db", "worker-0.log"} <= {Path(name).name for name in archive.getnames()}
    assert "<html" in (root / "out" / "sweep.html").read_text(encoding="utf-8")

    (case,), (step,), (rate,) = parts["case"], parts["step"], parts["rate"]
    # No ratio of the two: both are seconds of a machine on which other tests run.
    assert all(0 < case[key] < 60 for key in ("device, s", "with windows and transfers, s"))
    assert case["passes"] == 2 and 0.01 < case["share of R"] < 3
    assert 0.1 < step["device, ms"] < 10_000 and 0.01 < step["share of R"] < 3
    assert 1 < step["loss"] < 3 and rate["R, TFLOP/s"] > 0.001
    assert [row["form"] for row in parts["layer"]] == ["columns", "direct"]
    assert all(0 < row["forward, ms"] < 1000 and 0 < row["training step, ms"] < 1000 for row in parts["layer"])

    assert [row["steps"] for row in parts["losses"]] == [8]
    assert all(row["relative difference, largest"] < 1e-4 for row in parts["losses"])
    assert all(0 < row["last loss"] != row["first loss"] for row in parts["losses"])
    reached = {row["what"]: row["reached"] for row in parts["goals"]}
    assert reached["trials of the sweep, killed once: nothing lost"] == "yes"


def test_a_trial_gets_the_steps_that_fill_the_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the slower of a worker's own step and the card's steps of all workers: 0.05 s, and 4 * 0.02 s."""
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("benchmarks.gpu")
    for device, at_once in ((0.005, 0.05), (0.02, 0.08)):
        pilot = {"seconds": 40 * 0.05 + 2, "step": 0.05, "device": device}
        monkeypatch.setattr(module, "trainings", lambda name, pilot=pilot, **_: [{}, pilot])
        steps = module.fitted(module.Run(module.FULL), root=tmp_path).fixed["steps"]
        spent = module.FULL.sweep.trials / module.FULL.sweep.workers * (steps * at_once + 5)
        assert spent == pytest.approx(module.FULL.seconds - module.REST, rel=0.01)


def test_losses_are_compared_with_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("benchmarks.gpu_tables")
    card = [
        {"architecture": name, "whole": whole, "losses": losses}
        for name, whole, losses in (("unet", False, [2.0, 1.1]), ("unet", True, [2.0, 1.0]), ("two_path", True, [1.0]))
    ]
    rows = module.loss_rows(card, expected=[{"architecture": "unet", "losses": [2.0, 1.0]}])
    assert [row["relative difference, largest"] for row in rows] == [0.1, 0.0]  # the other's time was over
    assert [row["arithmetic"] for row in rows] == ["as shipped: on a GPU products in TF32", "whole float32"]


@pytest.mark.slow
def test_without_data_it_says_what_to_run(tmp_path: Path) -> None:
    done = benchmark(tmp_path, "--out", "out")
    assert done.returncode == 1
    assert "data/splits.json: not found; run `dvc repro patches` first" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_page_of_speeds_waits_for_a_gpu_or_shows_its_tables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("benchmarks.__main__")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    assert "Not measured yet, because no GPU was available." in "\n".join(module.page())
    goal, sweep = {"what": "a case", "to reach": "0.5", "reached": 0.2}, {"complete": 40, "nothing lost": "yes"}
    rows = [{"part": "goals", **goal}, {"part": "sweep", **sweep}, {"part": "losses", "network": "unet"}]
    record = {"benchmark": "gpu", "command": "python -m benchmarks.gpu", "machine": "H", "commit": "abc", "rows": rows}
    (tmp_path / "gpu.json").write_text(json.dumps(record), encoding="utf-8")
    lines = module.page()
    assert {"| a case | 0.5 | 0.2 |", "| complete | 40 |", "| unet |"} <= set(lines)
    assert "`python -m benchmarks.gpu` on H, commit abc." in lines and "wait" not in "\n".join(lines)
