"""The ablation over seeds: its arithmetic, and the script on tiny data with its parent and child runs."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from brats_cascade.evaluation.ablation import Experiment

ROOT = Path(__file__).parents[2]


def _report():
    spec = importlib.util.spec_from_file_location("_ablation_report", ROOT / "pipelines/_ablation_report.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _results() -> pd.DataFrame:
    rows = [("good", 1, 0.8, 0.7, 0.6, 0.9), ("good", 2, 0.9, 0.7, 0.8, 1.1), ("bare", 1, 0.0, 0.0, 0.0, 0.02)]
    return pd.DataFrame(rows, columns=["experiment", "seed", "complete", "core", "enhancing", "tumour_share"])


def test_means_spreads_and_collapses_in_closed_form() -> None:
    summary = _report().summarise_seeds(_results())
    assert summary["good"]["complete"] == pytest.approx({"mean": 0.85, "sd": 0.005**0.5, "low": 0.8, "high": 0.9})
    assert summary["good"]["seeds"] == 2 and summary["good"]["fallen"] == 0
    assert summary["bare"]["core"] == {"mean": 0, "sd": 0, "low": 0, "high": 0}
    assert summary["bare"]["fallen"] == 1


def _experiments() -> list[Experiment]:
    common = {"architecture": "input_cascade", "builds_on": "data/patches", "normalisation": "batch", "seed": 1}
    bare = {"class_weights": "none", "normalisation": "none"}
    changes: dict[str, dict[str, str]] = {
        "good": {}, "dropout": {"normalisation": "dropout"}, "late": {"architecture": "mf_cascade"}, "bare": bare,
    }  # fmt: skip
    return [
        Experiment(name, {**common, "class_weights": "slice", **change}, pd.DataFrame())
        for name, change in changes.items()
    ]


def test_the_words_answer_the_questions(tmp_path: Path) -> None:
    report = _report()
    more = [("dropout", 1, 0.7, 0.6, 0.5, 0.9), ("dropout", 2, 0.6, 0.5, 0.5, 1.0), ("bare", 2, 0.5, 0.1, 0.0, 0.3),
            ("late", 1, 0.85, 0.7, 0.6, 0.9), ("late", 2, 0.8, 0.6, 0.6, 1.0)]  # fmt: skip
    results = pd.concat([_results(), pd.DataFrame(more, columns=_results().columns)], ignore_index=True)
    summary = report.summarise_seeds(results)
    figure = report.write_report(tmp_path, results=results, summary=summary, experiments=_experiments())
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["good", "bare", "dropout", "late"]
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    text = (tmp_path / "summary.md").read_text()
    assert "| good | 2 | 0.850 ± 0.071 | 0.700 ± 0.000 | 0.700 ± 0.141 | 1.000 ± 0.141 | 0 of 2 |" in text
    _, collapse, architecture, normalisation = text.split("## ")
    assert (
        "- bare, without class weights and without batch norm or dropout: calls 16% ± 20% of the tumour; collapsed "
        "(below 10%) with 1 of 2 seeds." in collapse
    )
    assert collapse.rstrip().endswith("in so many runs: bare (1 of 2).")
    assert architecture.startswith("Which architecture?")
    # good: (0.7 + 0.8) / 2, late: (0.7167 + 0.6667) / 2; seed 1 is behind, seed 2 ahead
    assert "good 0.750, late 0.692. good against late: +0.058, higher with 1 of 2 seeds: no difference" in architecture
    assert "dropout (normalisation dropout) against good (normalisation batch): complete 0.650 ± 0.071" in normalisation
    assert normalisation.rstrip().endswith("Complete: -0.200, lower with each of 2 seeds.")
    assert "bare" not in normalisation  # it differs from the others in two things


def test_one_seed_tells_nothing_about_chance(tmp_path: Path) -> None:
    report, results = _report(), _results().query("experiment == 'good' and seed == 1")
    results = pd.concat([results, results.assign(experiment="dropout", complete=0.7)])
    text = report.in_words(report.summarise_seeds(results), results=results, experiments=_experiments()[:2])
    assert "-0.100, of one seed, which tells nothing about chance." in text
    assert "- None was trained." in text and "in so many runs: none." in text


@pytest.mark.slow
def test_two_seeds_leave_a_report_and_one_parent_with_its_children(make_project) -> None:
    folder = make_project("ablation")
    yaml = YAML(typ="safe")
    tree = yaml.load(folder / "params.yaml")
    tree["train"].update({"steps": 3, "phase2_steps": 2, "checks": 1})
    yaml.dump(tree, folder / "params.yaml")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    words = ["--seeds", "2", "--page", "docs/results/runs.md", "mf_cascade"]
    command = [sys.executable, str(ROOT / "pipelines/ablation.py"), *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| mf_cascade | 2 |" in done.stdout and "| two_path | 2 |" in done.stdout
    results = pd.read_csv(folder / "reports/ablation/results.csv")
    assert list(zip(results["experiment"], results["seed"], strict=True)) == [
        ("two_path", 1), ("mf_cascade", 1), ("two_path", 2), ("mf_cascade", 2),
    ]  # fmt: skip
    assert (folder / "reports/ablation/spread.png").stat().st_size > 1000
    page = (folder / "docs/results/runs.md").read_text()
    assert page.startswith("# Ablation, 2 seeds\n") and f"ablation.py {' '.join(words)}`, at commit " in page
    assert (folder / "reports/ablation/summary.md").read_text().rstrip() in page and "(runs_spread.png)" in page
    picture = folder / "docs/results/runs_spread.png"
    assert picture.read_bytes() == (folder / "reports/ablation/spread.png").read_bytes()

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("brats-cascade")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    parent = runs.pop("ablation, 2 seeds")
    assert set(runs) == {f"{name}, seed {seed}" for name in ("two_path", "mf_cascade") for seed in (1, 2)}
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.info.run_id}
    assert "mlflow.parentRunId" not in parent.data.tags
    assert parent.data.tags["mlflow.note.content"] == (folder / "reports/ablation/summary.md").read_text()
    assert "mf_cascade (architecture mf_cascade) against two_path" in parent.data.tags["mlflow.note.content"]
    assert {run.info.status for run in [parent, *runs.values()]} == {"FINISHED"}
    row = results[(results["experiment"] == "mf_cascade") & (results["seed"] == 2)].iloc[0]
    assert runs["mf_cascade, seed 2"].data.metrics["test/complete"] == pytest.approx(row["complete"])
    assert runs["mf_cascade, seed 2"].data.tags["seed"] == "2"
