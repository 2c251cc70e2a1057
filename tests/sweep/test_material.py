from types import SimpleNamespace

import pytest

from brats_cascade.errors import UserError
from brats_cascade.sweep.material import open_material, refuse_missing, refuse_test
from brats_cascade.sweep.objective import mean_over_patients


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
