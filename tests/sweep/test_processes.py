"""Sweeps in real processes: kills, resumption, failures, MLflow's runs, the best trial applied."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import optuna
import psutil
import pytest

from brats_cascade.params import load_params
from brats_cascade.project import Project
from brats_cascade.stages.train import train
from brats_cascade.sweep.trials import counted, reason_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LONG = {"steps": 150, "checks": 1, "checkpoint_steps": 2}
PATIENCE = 240  # seconds, on a busy machine


def trials_of(root: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{root / 'optuna.db'}").trials


def wait_for(condition, process: subprocess.Popen[str]):
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def wait_for_checkpoint(root: Path, process: subprocess.Popen[str]) -> None:
    path = root / ".work" / "sweep" / "sweep" / "0000" / "checkpoint.npz"
    wait_for(path.is_file, process)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):
            if "brats_cascade.sweep.worker" in child.cmdline():
                found.append(child)
    return found


def runs_of(root: Path) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    return client.search_runs([client.get_experiment_by_name("brats-cascade").experiment_id])


def test_a_killed_worker_is_noticed_and_its_trial_goes_on_from_the_checkpoint(make_project, start_sweep):
    root = make_project(train=LONG)
    process = start_sweep(root, "--trials", "1", "--workers", "1")
    wait_for_checkpoint(root, process)
    (worker,) = workers_of(process)
    worker.kill()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert "worker 0 was killed by signal 9" in output and "; retry of trial 0\n" in output
    first, second = trials_of(root)
    assert (first.state.name, second.state.name) == ("FAIL", "COMPLETE")
    assert second.system_attrs["retry_history"] == [0] and second.params == first.params
    assert "host was lost" in reason_of(first) and len(counted([first, second])) == 1
    assert "checkpoint.npz: resuming from phase 1, step" in (root / ".work/sweep/sweep/worker-0.log").read_text()
    parent, child = sorted(runs_of(root), key=lambda run: "mlflow.parentRunId" in run.data.tags)
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id  # one run for both attempts, one level deep
    assert (child.data.tags["state"], child.data.tags["best"], child.info.status) == ("complete", "true", "FINISHED")
    assert child.data.metrics["sweep/complete"] == second.value == parent.data.metrics["best/complete"]
    assert (parent.data.tags["kind"], parent.data.tags["best_run"]) == ("sweep", child.info.run_id)


def test_after_a_kill_of_all_the_same_command_goes_on_and_a_failing_trial_does_not_stop_it(
    make_project, start_sweep, sweep
):
    space = {"learning_rate": {"choices": [0.0005, 1e30]}}  # the second one cannot work
    root = make_project(train={**LONG, "clip_norm": 0.0}, space=space, sampler="random")
    words = ("--trials", "3", "--workers", "2")
    process = start_sweep(root, *words)
    wait_for_checkpoint(root, process)
    workers = workers_of(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(workers) == 2
    psutil.wait_procs(workers, timeout=60)
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    optuna.load_study(study_name="sweep", storage=f"sqlite:///{root / 'optuna.db'}").enqueue_trial(
        {"learning_rate": 1e30}
    )
    done = sweep(root, *words, "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    trials = trials_of(root)
    assert len(counted(trials)) == 3
    assert {trial.state.name for trial in trials} == {"COMPLETE", "FAIL"}
    assert any(trial.system_attrs.get("retry_history") == [0] and trial.state.name == "COMPLETE" for trial in trials)
    failed = [trial for trial in counted(trials) if trial.state.name == "FAIL"]
    assert failed and all("expected a finite number" in reason_of(trial) for trial in failed)
    assert "params.yaml: left as it is; no trial is better than trial " in done.stdout
    assert list(load_params(root / "params.yaml").experiments) == ["two_path"]
    assert "expected a finite" in (root / "reports" / "sweep.html").read_text()
    assert not list((root / ".work" / "sweep" / "sweep").glob("0*"))  # no checkpoint left
    states = sorted(run.data.tags.get("state", "") for run in runs_of(root))
    assert states.count("failed") == len(failed) and states.count("running") == 0


def test_the_best_trial_trained_by_the_train_stage_has_the_score_that_was_promised(make_project, sweep):
    from brats_cascade.data.store import open_case
    from brats_cascade.inference.segment import label_probabilities, most_probable
    from brats_cascade.models.fold import load_for_inference

    near = {
        "learning_rate": {"low": 0.0004, "high": 0.0006}
    }  # without the experiment's own, so that there is a best one
    root = make_project(train={"steps": 12, "phase2_steps": 4, "learning_rate": 0.001}, space=near)
    done = sweep(root, "--trials", "3", "--workers", "1", "--apply", "--page", "sweep.md")
    assert done.returncode == 0, done.stdout + done.stderr
    promised = max(trial.value for trial in trials_of(root))
    page = (root / "sweep.md").read_text(encoding="utf-8")
    assert f"|best score|{promised:.4f}, trial " in page and "with 1 worker(s)" in page
    assert page.count("sweep --trials 3 --workers 1 --apply --page sweep.md`") == 2  # it made the trials and the page
    assert 0.3 < promised < 1  # the networks have learnt something, so that equal scores say something
    train(Project(root), load_params(root / "params.yaml"), "sweep_best")
    member = load_for_inference(root / "models" / "sweep_best", precision="float32")
    case = open_case(root / "data" / "volumes" / "b")
    found = (
        most_probable(
            label_probabilities([member], image=case.image, brain=np.asarray(case.brain), spacing=(1, 1, 1), slices=4)
        )
        > 0
    )
    truth = np.asarray(case.labels) > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) == pytest.approx(promised, abs=0.002)
