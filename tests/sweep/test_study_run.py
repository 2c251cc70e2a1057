"""The MLflow run of a study: one, however many hosts begin at once."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest

from brats_cascade import tracking
from brats_cascade.params import load_params
from brats_cascade.sweep import records
from brats_cascade.sweep.plan import plan_of


@pytest.mark.slow
def test_hosts_that_begin_at_once_make_one_parent_and_a_later_one_finds_it(make_project, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    root = make_project()
    plan, storage = plan_of(load_params(root / "params.yaml")), optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="s", storage=storage)
    with tracking.start_run("the store's tables", finish=True) as run:
        client = run.client
    both, start_run = threading.Barrier(2), tracking.start_run

    @contextlib.contextmanager
    def made_by_both(name, **settings):
        with start_run(name, **settings) as own:
            yield own
        if not settings.get("run_id"):
            both.wait(timeout=60)  # neither host has seen the other's run when it made its own

    def host(_):
        study = optuna.load_study(study_name="s", storage=storage)
        with records.open_study_run(study, plan=plan, storage="memory", root=root) as run:
            return run.id

    monkeypatch.setattr(tracking, "start_run", made_by_both)
    with ThreadPoolExecutor(2) as hosts:
        first, second = hosts.map(host, range(2))
    assert first == second == host(0)
    [parent] = client.search_runs([run.info.experiment_id for run in [client.get_run(first)]], "tags.kind = 'sweep'")
    assert parent.info.run_id == first and parent.info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize(("status", "state", "after"), [
    ("RUNNING", "running", ("KILLED", "lost")),  # by SIGKILL
    ("KILLED", "running", ("KILLED", "lost")),  # by SIGTERM
    ("FINISHED", "complete", ("FINISHED", "complete")),  # by its repetition, in the same run
])  # fmt: skip
def test_the_run_of_a_lost_trial_says_so_however_it_ended(tmp_path, monkeypatch, status, state, after):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with tracking.start_run("trial", tags={"state": state}) as child:
        pass
    child.client.update_run(child.id, status=status)
    lost = optuna.create_trial(state=optuna.trial.TrialState.FAIL, user_attrs={records.RUN: child.id})
    with tracking.start_run("study") as run:
        records.settle(run, best=None, trials=[lost])
    found = run.client.get_run(child.id)
    assert (found.info.status, found.data.tags["state"]) == after
