import concurrent.futures
import contextlib
import datetime
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest

from brats_cascade.errors import UserError
from brats_cascade.orphans import process_name
from brats_cascade.params import load_params
from brats_cascade.params.space import parse_space, suggest
from brats_cascade.sweep import storage as storage_module
from brats_cascade.sweep.material import open_material
from brats_cascade.sweep.objective import train_trial
from brats_cascade.sweep.plan import Plan, plan_of
from brats_cascade.sweep.run import run_sweep
from brats_cascade.sweep.sampler import make_pruner
from brats_cascade.sweep.storage import open_storage, sqlite_url
from brats_cascade.sweep.study import make_study, open_study
from brats_cascade.sweep.trials import best, counted, give_up_lost, host_name, reason_of, stale_for
from brats_cascade.sweep.workers import count_workers, visible_gpus, worker_environments

ROOT = Path(__file__).parents[2]
START = datetime.datetime(2025, 1, 1)


def trial(number, *, values=None, state="COMPLETE", ended=None, **system):
    frozen = optuna.create_trial(state=optuna.trial.TrialState[state], values=values, system_attrs=system)
    frozen.number = number
    frozen.datetime_complete = START + datetime.timedelta(hours=number if ended is None else ended)
    return frozen


def plan_at(root):
    return plan_of(load_params(root / "params.yaml"))


def test_trials_without_improvement_are_counted_in_the_order_in_which_they_ended():
    scores = [0.3, 0.5, 0.4, 0.5]
    done = [trial(number, values=[score]) for number, score in enumerate(scores)]
    assert stale_for([]) == 0 and stale_for(done[:2]) == 0 and stale_for(done) == 2
    pruned, failed = trial(4, state="PRUNED"), trial(5, state="FAIL")
    assert stale_for([*done, pruned, failed]) == 3  # a failure says nothing about the space
    assert stale_for([trial(0, values=[0.3], ended=9), *done[1:]]) == 3
    assert best(done).number == 1 and best([failed]) is None


def test_with_two_objectives_the_front_counts():
    done = [trial(0, values=[0.5, 10.0]), trial(1, values=[0.4, 5.0]), trial(2, values=[0.45, 20.0])]
    assert stale_for(done[:2]) == 0  # worse, but faster
    assert stale_for(done) == 1
    assert best(done).number == 0


def test_a_trial_that_is_tried_again_counts_once():
    first, again = trial(0, state="FAIL"), trial(2, values=[0.5], retry_history=[0], failed_trial=0)
    waiting = trial(3, values=None, state="WAITING")
    assert [entry.number for entry in counted([first, trial(1, values=[0.1]), again, waiting])] == [1, 2]
    assert "host was lost" in reason_of(first) and reason_of(again) == ""


@pytest.mark.slow
def test_a_study_goes_on_only_with_what_it_was_made_for(make_project, tmp_path):
    root = make_project()
    plan, storage = plan_at(root), open_storage(f"sqlite:///{tmp_path / 'o.db'}")
    study, starts = make_study("s", storage=storage, plan=plan, data_key="x")
    assert starts and [entry.state.name for entry in study.trials] == ["WAITING"]
    make_study("s", storage=storage, plan=plan, data_key="x")
    assert len(study.trials) == 1  # the first trial is queued once
    study.optimize(lambda trial: trial.suggest_float("learning_rate", 0.0001, 0.01, log=True), n_trials=1)
    with pytest.raises(UserError, match="study 's': the data or CNN 1 changed after"):
        make_study("s", storage=storage, plan=plan, data_key="y")
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("  width: 0.05", "  width: 0.06"))
    with pytest.raises(UserError, match=r"study 's': sweep, the experiment or train .* another name with --study"):
        make_study("s", storage=storage, plan=plan_at(root), data_key="x")
    path.write_text(path.read_text().replace("heartbeat: 1", "heartbeat: 1\n  second: parameters"))
    with pytest.raises(UserError, match=r"sweep\.second changed"):
        make_study("s", storage=storage, plan=plan_at(root), data_key="x")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["sqlite:///", "journal:"])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::optuna.exceptions.ExperimentalWarning")
def test_commands_that_begin_together_try_the_experiments_own_settings_once(make_project, tmp_path, monkeypatch, form):
    plan, url = plan_at(make_project()), f"{form}{tmp_path / 'o'}"
    open_storage(url)
    together, look = threading.Barrier(2), optuna.Study.get_trials

    def looked(study, *args, **given):
        found = look(study, *args, **given)
        if not found:
            together.wait(10)  # both commands see a study without trials
        return found

    def make():
        make_study("s", storage=open_storage(url), plan=plan)

    optuna.create_study(study_name="s", storage=open_storage(url), direction="maximize")
    with monkeypatch.context() as patch, concurrent.futures.ThreadPoolExecutor(2) as pool:
        patch.setattr(optuna.Study, "get_trials", looked)
        for done in [pool.submit(make) for _ in range(2)]:
            done.result()
    study = open_study("s", storage=open_storage(url), plan=plan)
    for _ in range(2):
        trial = study.ask()
        study.tell(trial, suggest(trial, plan.space)["learning_rate"])
    own = plan.entry.train.learning_rate
    assert [entry.user_attrs["default"] for entry in study.trials] == [True, False]
    assert study.trials[0].value == own != study.trials[1].value and len(study.trials) == 2


@pytest.mark.slow
def test_a_study_without_a_trial_is_made_anew_for_other_settings(make_project, tmp_path):
    """A command that was mistyped, or whose params.yaml was, does not stand in the way of the right one."""
    root = make_project()
    storage, path = open_storage(f"sqlite:///{tmp_path / 'o.db'}"), root / "params.yaml"
    make_study("s", storage=storage, plan=plan_at(root), data_key="x")
    path.write_text(path.read_text().replace("heartbeat: 1", "heartbeat: 1\n  second: parameters\n  fixed: {steps: 9}"))
    study, starts = make_study("s", storage=storage, plan=plan_at(root), data_key="y")
    assert starts and [entry.state.name for entry in study.trials] == ["WAITING"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.user_attrs == {"identity": plan_at(root).identity(), "data": "y"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workers": "two"}, "--workers: expected a number"),
        ({"name": "2024"}, "--study: the name '2024' cannot be used"),
        ({"name": "s" * 98}, "--study: the name"),  # too long for the experiment that --apply adds
    ],
)
def test_a_wrong_option_leaves_no_study(make_project, wrong, message):
    root = make_project()
    settings = {"name": "s", "trials": 1, "storage": f"sqlite:///{root / 'o.db'}", "root": root, "tell": print, **wrong}
    with pytest.raises(UserError, match=message):
        run_sweep(plan_at(root), **settings)
    assert not (root / "o.db").exists() and not (root / "mlflow.db").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_draws_belong_to_the_trial_whichever_process_asks(make_project, tmp_path, sampler):
    given = plan_at(make_project(sampler=sampler, startup=3))

    def drawn(name, *, handles, seed=1):
        """Learning rates of eight trials, by as many processes or hosts as there are handles, which open the study at once."""
        plan = Plan(given.entry, given.sweep.model_copy(update={"seed": seed}), given.space)
        storage = open_storage(f"sqlite:///{tmp_path / f'{name}.db'}")
        make_study("s", storage=storage, plan=plan)
        opened = [open_study("s", storage=storage, plan=plan) for _ in range(handles)]
        values = []
        for number in range(8):
            study = opened[number % handles]
            trial = study.ask()
            values.append(suggest(trial, plan.space)["learning_rate"])
            study.tell(trial, 1 - values[-1])
        return values

    alone, together = drawn("alone", handles=1), drawn("together", handles=3)
    assert alone[0] == given.entry.train.learning_rate  # the experiment's own settings
    assert alone == together and len(set(alone)) == 8
    assert not set(drawn("seed", handles=1, seed=2)[1:]) & set(alone)


def test_the_pruner_is_the_one_asked_for(make_project):
    plan = plan_at(make_project())
    kinds = {"median": "MedianPruner", "hyperband": "HyperbandPruner", "none": "NopPruner"}
    for name, kind in kinds.items():
        made = make_pruner(Plan(plan.entry, plan.sweep.model_copy(update={"pruner": name}), plan.space))
        assert type(made).__name__ == kind


@pytest.mark.parametrize(
    ("sweep", "named"),
    [
        ({"fixed": {"l2": 0.5}, "space": {"l2": {"low": 0.1, "high": 0.9}}}, "sweep.fixed.l2"),
        (
            {
                "fixed": {"momentum": 0.5},
                "space": {"optimizer": {"choices": {"sgd": {"momentum": {"choices": [0.9]}}}}},
            },
            "sweep.fixed.momentum",
        ),
        ({"pruner": "median", "space": {"checks": {"low": 1, "high": 9}}}, "sweep.space.checks"),
    ],
)
def test_a_plan_whose_parts_contradict_each_other_is_refused(make_project, sweep, named):
    with pytest.raises(UserError, match=named):
        plan_at(make_project(**sweep))


def test_the_number_of_validation_rounds_can_be_searched_without_pruning(make_project):
    space = {"checks": {"low": 1, "high": 9}}
    assert "checks" in plan_at(make_project(space=space, pruner="none")).space


def test_a_plan_reaches_the_workers_whole(make_project):
    space = {
        "batch": {"choices": {2: {}, 4: {"flip": {"choices": [True, False]}}}},
        "steps": {"low": 2, "high": 9, "log": True},
    }
    plan = plan_at(make_project(space=space, fixed={"l2": 0.5}))
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert plan.entry.train.l2 == 0.5


@pytest.mark.parametrize(
    ("url", "message"),
    [("optuna.db", "expected sqlite:///FILE"), ("grpc://host", "expected grpc://HOST:PORT"),
     ("oddsql://u:secret@h/d", r"oddsql://u:\*\*\*@h/d: .*"), ("postgresql://u:secret@h:port/d", r"u:\*\*\*@h:port/d: .*"),
     ("grpc://host:\u00b2", "expected grpc://HOST:PORT"), ("sqlite://", "expected sqlite:///FILE"),
     ("sqlite:///:memory:", "expected sqlite:///FILE"), ("sqlite://optuna.db", "expected sqlite:///FILE")],
)  # fmt: skip
def test_an_address_that_is_none(url, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        open_storage(url)
    assert "secret" not in str(caught.value)
    monkeypatch.setattr(storage_module, "PROXY_PATIENCE", 0.1)
    with pytest.raises(UserError, match=r"grpc://127.0.0.1:1: no answer in 0.1 s: .* start the proxy first"):
        open_storage("grpc://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a%20b", "a?b", "a#b"])
def test_a_study_lies_in_its_folder_whatever_the_folder_is_called(tmp_path, name):
    folder = tmp_path / name
    open_storage(sqlite_url(folder / "optuna.db"))
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [Path(name), Path(name) / "optuna.db"]


@pytest.mark.slow
def test_a_study_of_another_release_and_a_file_that_is_no_journal(tmp_path):
    path = tmp_path / "o.db"
    open_storage(sqlite_url(path))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    with pytest.raises(UserError, match="optuna storage upgrade"):
        open_storage(sqlite_url(path))
    content = path.read_bytes()
    with pytest.raises(UserError, match=r"o\.db"):
        open_storage(f"journal:{path}")
    assert path.read_bytes() == content


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_journal_file_has_no_heartbeat_so_the_host_looks_for_its_own_dead(make_project, tmp_path):
    plan, storage = plan_at(make_project()), open_storage(f"journal:{tmp_path / 'o.journal'}")
    study, _ = make_study("s", storage=storage, plan=plan)
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    lost, here = {"process": f"{gone.stdout} 0"}, {"process": process_name()}
    reused = {"process": f"{os.getpid()} {time.time() - 9999:.0f}"}  # as in a container that was started again
    for attributes in (lost, here, {**lost, "host": "elsewhere"}, reused):
        running = study.ask()
        for key, value in {"host": host_name(), **attributes}.items():
            running.set_user_attr(key, value)
    give_up_lost(study, retries=2)
    give_up_lost(study, retries=2)
    assert [entry.state.name for entry in study.trials] == ["FAIL", "RUNNING", "RUNNING", "FAIL", "WAITING", "WAITING"]
    assert study.trials[4].params == study.trials[0].params and study.trials[4].system_attrs["retry_history"] == [0]


def test_workers_share_cores_and_gpus():
    assert count_workers("auto", gpus=4, cores=64, memory=100) == 4
    assert count_workers("auto", gpus=0, cores=2, memory=20) == 2
    assert count_workers("auto", gpus=0, cores=16, memory=10) == 4
    assert count_workers("auto", gpus=0, cores=1, memory=0.5) == 1
    assert count_workers("3", gpus=1, cores=1, memory=1) == 3
    for wrong in ("0", "-1", "many", "\u00b2"):
        with pytest.raises(UserError, match="--workers: expected a number from 1 or auto"):
            count_workers(wrong, gpus=0, cores=1, memory=1)
    made = worker_environments(3, gpus=["0", "GPU-a"], cores=8, compiled=Path("c"), environment={"HOME": "h"})
    assert [each["CUDA_VISIBLE_DEVICES"] for each in made] == ["0", "GPU-a", "0"]
    assert {each["OMP_NUM_THREADS"] for each in made} == {"2"} and {each["HOME"] for each in made} == {"h"}
    assert {each["JAX_COMPILATION_CACHE_DIR"] for each in made} == {"c"}  # shared, so that a step is compiled once
    given = {"OMP_NUM_THREADS": "1", "JAX_COMPILATION_CACHE_DIR": "theirs"}
    own = worker_environments(2, gpus=[], cores=4, compiled=Path("c"), environment=given)[0]
    assert own["JAX_COMPILATION_CACHE_DIR"] == "theirs"
    assert (own["OMP_NUM_THREADS"], own["TF_NUM_INTRAOP_THREADS"]) == ("1", "2") and "CUDA_VISIBLE_DEVICES" not in own
    assert (
        visible_gpus({"CUDA_VISIBLE_DEVICES": "2,5"}) == ["2", "5"]
        and visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []
    )


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials_and_the_same_scores(make_project, tmp_path):
    """Two studies, trained and not simulated: settings, scores of every case and validation curves, to the last bit."""
    root = make_project()
    plan, data = plan_at(root), open_material(root)

    def swept(name):
        storage, curves = open_storage(f"sqlite:///{tmp_path / name}.db"), []
        make_study(name, storage=storage, plan=plan)

        def objective(trial):
            train = plan.train_with(suggest(trial, plan.space))
            found = train_trial(
                plan, train, data=data, root=root, folder=tmp_path / name / str(trial.number),
                on_check=lambda rows: curves.append([{**row, "seconds": 0} for row in rows]),
            )  # fmt: skip
            curves.append(found.cases)
            return found.complete

        study = open_study(name, storage=storage, plan=plan)
        study.optimize(objective, n_trials=2)
        return [(trial.params, trial.values) for trial in study.trials], curves

    one = swept("one")
    assert one == swept("other")
    assert len(one[0]) == 2 and one[0][0] != one[0][1] and len(one[1]) == 6


def test_a_study_goes_on_only_with_the_architecture_it_was_made_for(make_project, tmp_path):
    """Two architectures may have the same settings and build on the same files."""
    root = make_project()
    storage, path = open_storage(f"sqlite:///{tmp_path / 'o.db'}"), root / "params.yaml"
    study, _ = make_study("s", storage=storage, plan=plan_at(root))
    study.optimize(lambda trial: trial.suggest_float("learning_rate", 0.0001, 0.01, log=True), n_trials=1)
    path.write_text(path.read_text().replace("architecture: two_path", "architecture: unet"))
    with pytest.raises(UserError, match=r"the experiment or train .* changed"):
        make_study("s", storage=storage, plan=plan_at(root))


@pytest.mark.slow
def test_a_study_goes_on_only_with_choices_in_the_order_it_was_made_for(make_project, tmp_path):
    """Optuna refuses the same choices in another order, in every trial."""
    plan = plan_at(make_project(space={"optimizer": {"choices": {"adam": {}, "sgd": {}}}}))
    storage = open_storage(f"sqlite:///{tmp_path / 'o.db'}")
    study, _ = make_study("s", storage=storage, plan=plan)
    study.optimize(lambda trial: len(suggest(trial, plan.space)), n_trials=1)
    sweep = plan.sweep.model_copy(update={"space": {"optimizer": {"choices": {"sgd": {}, "adam": {}}}}})
    with pytest.raises(UserError, match=r"study 's': sweep, .* changed"):
        make_study("s", storage=storage, plan=Plan(plan.entry, sweep, parse_space(sweep.space, train=plan.entry.train)))
