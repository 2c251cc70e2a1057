"""The page for git says what the study holds: expected cells written out by hand."""

from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest

from brats_cascade.commands.sweep import run
from brats_cascade.errors import UserError
from brats_cascade.params import load_params
from brats_cascade.sweep.apply import apply_best
from brats_cascade.sweep.plan import plan_of
from brats_cascade.sweep.report import seconds_of, write_page
from brats_cascade.sweep.run import Swept

RATE = {"learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)}


def _add(study, rate, *, state="COMPLETE", value=None, curve=(), **attributes):
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState[state], values=value, params={"learning_rate": rate}, distributions=RATE,
            user_attrs=attributes, intermediate_values=dict(enumerate(curve, start=1)),
        )
    )  # fmt: skip


def _page(root: Path, *, study) -> str:
    """The page of a project; what the project's files hold is in it."""
    plan = plan_of(load_params(root / "params.yaml"))
    write_page(root / "docs" / "hunt.md", study=study, plan=plan, root=root, command="the page")
    return (root / "docs" / "hunt.md").read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_the_page_tells_scores_cost_and_every_trial(make_project) -> None:
    study = optuna.create_study(study_name="hunt", direction="maximize")
    study.set_user_attr("where", {"commit": "abc123", "machine": "a computer", "workers": 2})
    study.set_user_attr("command", "the sweep")
    _add(study, 0.0005, value=[0.71], default=True, seconds=61.5, own_memory_mb=500, shared_memory_mb=90)
    _add(study, 0.003, value=[0.8249], cases={"a": 0.8, "b": 0.8498}, own_memory_mb=600, shared_memory_mb=100)
    _add(study, 0.002, value=[0.79])
    _add(study, 0.009, state="PRUNED", value=[0.1234], curve=[0.3, 0.1234])
    _add(study, 0.01, state="FAIL", reason="the loss is nan")
    root = make_project()
    _write(root / "reports" / "sweep" / "history.png", "a picture")
    page = _page(root, study=study)
    lines = page.splitlines()
    for line in (
        "Written by `the page`. Trials: `the sweep`, at commit abc123, on a computer, with 2 worker(s); data not hashed.",
        "|score of the experiment's own settings|0.7100|",
        "|best score|0.8249, trial 1|",
        "|lowest, median score|0.7100, 0.7900|",
        "|trials|3 complete, 1 ended early, 1 failed or lost|",
        "|memory of a worker, its own|500 to 600 MB|",
        "|memory of a worker, shared with others|90 to 100 MB|",
        "The sweep found better settings, by 0.1149 on 2 validation cases. "
        "The best of many scores on the same cases is optimistic.",
        "|0|complete|0.7100|61.5|learning_rate 0.0005|",
        "|3|ended early|(0.1234)||learning_rate 0.009|",
        "|4|failed: the loss is nan|||learning_rate 0.01|",
        "![Score of every trial, and the best so far](hunt_history.png)",
    ):
        assert line in lines, line
    assert lines.index("|trial|how it ended|score|seconds|settings|") + 6 < len(lines)
    assert (root / "docs" / "hunt_history.png").read_text() == "a picture"
    assert "then trained" not in page


def test_a_sweep_that_found_nothing_better_says_so(make_project) -> None:
    study = optuna.create_study(study_name="hunt", direction="maximize")
    _add(study, 0.0005, value=[0.71], default=True)
    _add(study, 0.003, value=[0.709])
    page = _page(make_project(), study=study)
    assert "nothing better than the experiment's own settings" in page and "found better settings" not in page
    assert "unknown" in page and "![" not in page


def test_a_promise_is_held_against_what_the_pipeline_found(make_project) -> None:
    """But not against an experiment with other settings, such as those of an earlier best trial."""
    root = make_project()
    held = '"validation": {"dice": 0.7, "complete": {"dice": 0.91, "dice_without": 0.8123}}'
    text = f'{{"complete": {{"dice": 0.8765}}, "core": {{}}, "enhancing": {{}}, {held}}}'
    _write(root / "metrics" / "hunt_best" / "summary.json", text)
    study = optuna.create_study(study_name="hunt", direction="maximize")
    _add(study, 0.00123456789, value=[0.82])
    assert "0.8123" not in _page(root, study=study)
    plan = plan_of(load_params(root / "params.yaml"))
    apply_best(root / "params.yaml", study=study, best=study.best_trial, plan=plan)
    page = _page(root, study=study)
    assert "the experiment hunt_best" in page
    assert "0.8123 by the same measure" in page and "0.8765 on the test patients" in page
    record = root / "models" / "hunt_best" / "record.json"
    _write(record, '{"params": {"train.learning_rate": 0.00123457}}')
    assert "0.8123" in _page(root, study=study)
    record.write_text(
        '{"params": {"train.learning_rate": 0.004}}'
    )  # params.yaml has changed, but it was not trained again
    assert "0.8123" not in _page(root, study=study)
    record.unlink()
    _add(study, 0.003, value=[0.9])
    assert "0.8123" not in _page(root, study=study)


@pytest.mark.parametrize("open_one", [False, True])
def test_the_time_is_from_the_first_start_to_the_last_end(open_one: bool) -> None:
    noon = datetime(2026, 1, 1, 12)
    trials = [optuna.create_trial(value=0.5) for _ in range(2)]
    for number, trial in enumerate(trials):
        trial.datetime_start = noon + timedelta(seconds=10 * number)
        trial.datetime_complete = noon + timedelta(seconds=100 - 30 * number)
    if open_one:
        trials.append(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))
        trials[-1].datetime_start, trials[-1].datetime_complete = noon + timedelta(seconds=90), None
    assert seconds_of(trials) == 100
    assert seconds_of([]) == 0


def test_the_password_of_the_storage_is_neither_on_the_page_nor_in_the_study(make_project, monkeypatch, capsys) -> None:
    root, study = make_project(), optuna.create_study(study_name="hunt", direction="maximize")
    monkeypatch.setattr("brats_cascade.sweep.run.run_sweep", lambda *_, **__: Swept(study, None, root / "sweep.html"))
    monkeypatch.chdir(root)
    address = "postgresql://sweeper:s3cret@host/sweeps"
    words = ["brats-cascade", "sweep", "--trials", "9", "--storage", address, "--page", "hunt.md"]
    monkeypatch.setattr("sys.argv", words)
    run(9, storage=address, page=root / "hunt.md")
    page, shown = (root / "hunt.md").read_text(), "--storage postgresql://sweeper:***@host/sweeps"
    assert page.count(shown) == 2 and study.user_attrs["command"].count(shown) == 1
    assert "s3cret" not in page + capsys.readouterr().out + str(study.user_attrs)


def test_a_sweep_whose_trials_all_failed_fails(make_project, monkeypatch) -> None:
    root, study = make_project(), optuna.create_study(study_name="hunt", direction="maximize")
    monkeypatch.setattr("brats_cascade.sweep.run.run_sweep", lambda *_, **__: Swept(study, None, root / "sweep.html"))
    monkeypatch.chdir(root)
    run(0, storage="sqlite:///o.db")  # nothing has run
    _add(study, 0.01, state="FAIL", reason="out of memory")
    with pytest.raises(UserError, match="out of memory"):
        run(1, storage="sqlite:///o.db", apply=True)
