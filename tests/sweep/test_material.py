import json
from types import SimpleNamespace

import pytest

from brats_cascade.errors import UserError
from brats_cascade.params import load_params
from brats_cascade.sweep.material import open_material, refuse_missing, refuse_test
from brats_cascade.sweep.objective import mean_over_patients
from brats_cascade.sweep.plan import Plan, plan_of
from brats_cascade.sweep.run import run_sweep


def test_the_mean_is_over_patients_not_cases():
    patients = {"a1": "a", "a2": "a", "b": "b"}
    assert mean_over_patients({"a1": 0.2, "a2": 0.4, "b": 0.9}, patients=patients) == pytest.approx(0.6)


def test_material_holds_training_and_validation_cases_only(make_project):
    found = open_material(make_project())
    assert [case.name for case in found.train] == ["a"] and [case.name for case in found.validation] == ["b"]
    assert [case.patient for case in found.validation] == ["b"]
    base = found.train[0].image
    assert base.filename and not base.flags.writeable  # mapped, not copied: workers share it


@pytest.mark.parametrize("patients", [{"c": "patient-z"}, {"b": "patient-c"}])
def test_a_test_patient_among_the_others_is_refused(patients):
    splits = {"test": ["c"], "patients": {"test": ["patient-c"]}}
    with pytest.raises(UserError, match=f"cases of test patients .*: {next(iter(patients))};"):
        refuse_test(splits, cases=[SimpleNamespace(name=name, patient=patient) for name, patient in patients.items()])


def test_missing_data_is_named_before_anything_starts(tmp_path, make_project):
    with pytest.raises(UserError, match=r"splits\.json: not found; run `dvc repro patches` first"):
        refuse_missing(tmp_path, cnn1=None)
    with pytest.raises(UserError, match=r"models/first/model\.json: not found; run `dvc repro train@first` first"):
        refuse_missing(make_project(), cnn1="first")


def write_first(root, *, seen):
    """A trained CNN 1 whose training data were these: case -> set."""
    cases = [{"case": name, "patient": name, "set": part} for name, part in seen.items()]
    (root / "models/first").mkdir(parents=True)
    (root / "models/first/model.json").write_text(json.dumps({"data": {"cases": cases}}))
    (root / "models/first/model.keras").write_text("weights")


@pytest.mark.parametrize(
    ("seen", "held"), [({"b": "train"}, "b"), ({"a": "validation", "patient-c": "train"}, "patient-c")]
)
def test_a_cnn1_of_another_split_is_refused(make_project, seen, held):
    """It has learned from patients on which trials are scored, or on which their winner will be."""
    root = make_project()
    write_first(root, seen=seen)
    with pytest.raises(UserError, match=rf"models/first: was trained on {held}, .*; run `dvc repro train@first` first"):
        refuse_missing(root, cnn1="first")


def test_a_cnn1_of_this_split_is_used(make_project):
    root = make_project()
    write_first(root, seen={"a": "train", "b": "validation"})
    refuse_missing(root, cnn1="first")


@pytest.mark.slow
def test_a_study_goes_on_only_with_the_cnn1_it_was_made_with(make_project):
    root = make_project()
    write_first(root, seen={"a": "train", "b": "validation"})
    plan = plan_of(load_params(root / "params.yaml"))
    entry = plan.entry.model_copy(update={"architecture": "input_cascade", "builds_on": "models/first"})
    settings = {"name": "s", "trials": 0, "storage": f"sqlite:///{root / 'o.db'}", "root": root, "tell": print}
    study = run_sweep(Plan(entry, plan.sweep, plan.space), **settings).study
    study.optimize(lambda trial: trial.suggest_float("learning_rate", 0.0001, 0.01, log=True), n_trials=1)
    run_sweep(Plan(entry, plan.sweep, plan.space), **settings)
    (root / "models/first/model.keras").write_text("other weights")
    with pytest.raises(UserError, match="study 's': the data or CNN 1 changed after its first trial"):
        run_sweep(Plan(entry, plan.sweep, plan.space), **settings)
