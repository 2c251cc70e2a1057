import re

import optuna
import pytest

from brats_cascade.params import load_params
from brats_cascade.sweep.plan import plan_of
from brats_cascade.sweep.report import write_report

FLOAT, WORD = optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True), optuna.distributions.CategoricalDistribution


def add(study, rate, *, values=None, state="COMPLETE", curve=(), **attributes):
    trial = optuna.create_trial(
        state=optuna.trial.TrialState[state], values=values, params={"learning_rate": rate, "optimizer": "sgd"},
        distributions={"learning_rate": FLOAT, "optimizer": WORD(["adam", "sgd"])}, user_attrs=attributes,
        intermediate_values={step + 1: value for step, value in enumerate(curve)},
    )  # fmt: skip
    study.add_trial(trial)


@pytest.fixture
def plan(make_project):
    return plan_of(load_params(make_project() / "params.yaml"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_page_is_whole_in_itself_and_says_what_happened(plan, tmp_path):
    study = optuna.create_study(study_name="hunt", direction="maximize")
    add(study, 0.0005, values=[0.71], curve=[0.5, 0.7], default=True, seconds=61.5)
    add(study, 0.003, values=[0.8249], curve=[0.6, 0.8])
    add(study, 0.002, values=[0.79], curve=[0.6, 0.75])
    add(study, 0.009, values=[0.1234], state="PRUNED", curve=[0.1234])
    add(study, 0.01, state="FAIL", reason="<b>the loss is nan</b>")
    add(study, 0.004, state="FAIL")
    path, pictures = write_report(study, plan=plan, root=tmp_path)
    page = path.read_text(encoding="utf-8")
    for wanted in ("0.8249, trial 1", "0.7100", "(0.1234)", "61.5", "&lt;b&gt;the loss is nan", "its host was lost"):
        assert wanted in page
    outside = re.compile(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"']?(?:https?:)?//", re.IGNORECASE)
    assert not outside.search(page)
    assert page.count("Plotly.newPlot(") >= 4
    assert "validation round" in page and "Intermediate Value" not in page
    assert {"history", "validation", "slice", "parallel"} <= set(pictures)
    assert all(path.stat().st_size > 2000 for path in pictures.values())


def test_a_study_without_a_complete_trial_still_has_a_page(plan, tmp_path):
    study = optuna.create_study(study_name="hunt", direction="maximize")
    add(study, 0.01, state="FAIL", reason="out of memory")
    path, pictures = write_report(study, plan=plan, root=tmp_path)
    assert "out of memory" in path.read_text(encoding="utf-8") and pictures == {}
    assert path.stat().st_size < 20_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_two_objectives_have_a_pareto_front(make_project, tmp_path):
    plan = plan_of(load_params(make_project(second="seconds") / "params.yaml"))
    study = optuna.create_study(study_name="hunt", directions=plan.directions)
    for rate, values in ((0.001, [0.5, 10.0]), (0.002, [0.7, 20.0]), (0.003, [0.6, 30.0])):
        add(study, rate, values=values)
    path, pictures = write_report(study, plan=plan, root=tmp_path)
    assert "pareto" in pictures and 'id="pareto"' in path.read_text(encoding="utf-8")
