"""A case that differs from what a model was trained on, or that it was trained on, is never segmented without a word."""

import json
import shutil
from dataclasses import asdict

import nibabel
import numpy as np
import pytest
from layouts import case_facts
from predicting import run

from brats_cascade.cli import main
from brats_cascade.commands import evaluate
from brats_cascade.data.cases import find_cases
from brats_cascade.data.prepare import prepare_case
from brats_cascade.inference.fit import find_misfits
from brats_cascade.models.contract import Contract
from brats_cascade.models.training_data import TrainingData, describe_training
from brats_cascade.params import Recipe

MM3 = {f"spacing_{axis}": size for axis, size in zip(("slice", "row", "column"), (3.0, 1.0, 1.0), strict=True)}


def trained_on(*cases: str, **changes: object) -> TrainingData:
    facts = [case_facts(name, **changes) for name in cases]
    return describe_training({"train": facts[:-1], "validation": facts[-1:]}, source="cohort")


def test_the_record_holds_ranges_and_every_case() -> None:
    rows = {
        "train": [case_facts("b", flair_p50=10.0), case_facts("a", spacing_slice=2.0, flair_p50=40.0)],
        "validation": [case_facts("c", patient="p", flair_p50=20.0)],
    }
    data = describe_training(rows, source="cohort")
    assert data.spacing == {"slice": [1.0, 2.0], "row": [1.0, 1.0], "column": [1.0, 1.0]}
    assert data.intensities["flair"]["p50"] == [10.0, 20.0, 40.0]
    assert [(case.case, case.patient, case.set) for case in data.cases] == [
        ("a", "a", "train"), ("b", "b", "train"), ("c", "p", "validation")
    ]  # fmt: skip
    record = {"architecture": "unet", "classes": [0, 1], "modalities": ["t1"], "clip": 0.01, "style": {}}
    assert Contract.from_dict({**record, "cnn1_style": None, "data": asdict(data)}).data == data


def test_a_patient_of_another_year_is_known() -> None:
    data = trained_on("a", patient="Brats18_CBICA_AAB", release="brats2017")
    other = case_facts("c", patient="BraTS19_CBICA_AAB", release="brats2017")
    assert [misfit.text for misfit in find_misfits(data, facts=other)] == [
        "patient Brats18_CBICA_AAB is in the model's validation set"
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, {}),
        ({"spacing_slice": 1.08}, {}),
        (MM3, {"spacing": "its voxels measure 3 x 1 x 1 mm, but those of the training data 1 x 1 x 1 mm"}),
        ({"release": "phantom"}, {"phantom": "it is a phantom, but the model was trained on real scans (cohort)"}),
        ({"voxels_hash": "of a"}, {"patient": "these scans are a of the model's training set"}),
        ({"patient": "b"}, {"patient": "patient b is in the model's validation set"}),
        ({"patient": "b", "release": "brats2017"}, {}),  # names are numbers that other releases give anew
        (
            {**MM3, "release": "phantom", "voxels_hash": "of b"},
            {
                "phantom": "it is a phantom, but the model was trained on real scans (cohort)",
                "spacing": "its voxels measure 3 x 1 x 1 mm, but those of the training data 1 x 1 x 1 mm",
                "patient": "these scans are b of the model's validation set",
            },
        ),
    ],
)
def test_what_does_not_fit(facts, expected) -> None:
    assert dict(find_misfits(trained_on("a", "b"), facts=case_facts("new", **facts))) == expected


def test_a_model_of_phantoms_and_one_without_a_record() -> None:
    [misfit] = find_misfits(trained_on("a", "b", release="phantom"), facts=case_facts("new"))
    assert misfit.kind == "phantom" and "it is a real scan, but the model was trained on phantoms" in misfit.text
    [misfit] = find_misfits(None, facts=case_facts("new"))
    assert misfit.kind == "unknown"


@pytest.fixture
def model(tmp_path, trained, write_nifti_case):
    """A model trained on Brats18_A_1 and Brats18_V_1, cases of 1 mm."""
    folder = tmp_path / "models" / "E"
    shutil.copytree(trained(), folder)
    facts = []
    for seed, name in enumerate(("Brats18_A_1", "Brats18_V_1")):
        [case] = find_cases(write_nifti_case(tmp_path / "cohort", name, seed=seed))
        facts.append(prepare_case(case, recipe=Recipe(clip=0.01)).meta["facts"])
    data = describe_training({"train": facts[:1], "validation": facts[1:]}, source="cohort")
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**record, "data": asdict(data)}))
    return str(folder)


def warnings(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith(("warning: ", "error: "))]


@pytest.mark.slow
def test_predict_warns_on_one_line_and_strict_refuses(tmp_path, model, write_nifti_case, capsys) -> None:
    write_nifti_case(tmp_path / "in", "Brats18_NEW_1", seed=7)
    write_nifti_case(tmp_path / "in", "Brats18_A_2", seed=8)  # the same patient at another time
    coarse = np.diag([-2.75, -2.75, 2.75, 1.0])
    for seed, name in enumerate(("Brats18_X_1", "Brats18_Y_1"), start=20):
        write_nifti_case(tmp_path / "in", name, seed=seed, affine=coarse)
    assert run([tmp_path / "in"], models=[model], out=tmp_path / "out") == 0
    err = capsys.readouterr().err
    patient = "may not fit the model: patient Brats18_A is in the model's training set"
    spacing = (
        "may not fit the model: its voxels measure 2.75 x 2.75 x 2.75 mm, but those of the training data 1 x 1 x 1 mm"
    )
    said = [line for line in err.splitlines() if "may not fit" in line]
    assert said[0] == f"warning: Brats18_A_2: {patient}"
    assert said[1:] == [
        f"warning: Brats18_X_1: {spacing}",  # of two that differ in the same way, the first
        "3 of 4 cases may not fit the model (--strict refuses them)",
    ]
    assert run([tmp_path / "in"], models=[model], out=tmp_path / "strict", strict=True) == 3
    lines = warnings(capsys)
    assert lines[0] == f"error: Brats18_A_2: {patient}; give another --model, or leave out --strict"
    assert len(lines) == 3 and all(line.startswith("error: ") for line in lines)
    assert [path.name for path in (tmp_path / "strict").glob("*.nii.gz")] == ["Brats18_NEW_1_seg.nii.gz"]


def test_a_training_case_is_known_under_another_name_and_in_another_format(tmp_path, model, capsys) -> None:
    folder = tmp_path / "in" / "Brats18_OTHER_9"
    folder.mkdir(parents=True)
    for part in ("flair", "t1", "t1ce", "t2"):
        image = nibabel.load(tmp_path / f"cohort/Brats18_V_1/Brats18_V_1_{part}.nii.gz")
        mirror = image.as_reoriented([[0, -1], [1, 1], [2, 1]])
        nibabel.save(mirror, folder / f"Brats18_OTHER_9_{part}.nii")
    assert run([folder], models=[model], out=tmp_path / "out") == 0
    [line] = warnings(capsys)
    assert line.endswith("these scans are Brats18_V_1 of the model's validation set")


@pytest.mark.slow
def test_evaluate_reads_off_the_prediction_whether_it_fitted(tmp_path, model, capsys, monkeypatch) -> None:
    assert run([tmp_path / "cohort"], models=[model], out=tmp_path / "out") == 0
    assert run([tmp_path / "cohort"], models=[model], out=tmp_path / "out") == 0  # finished, note and all
    capsys.readouterr()
    given = {"prediction": tmp_path / "out", "out": tmp_path / "scores.json"}
    assert evaluate.run(tmp_path / "cohort", **given)[1] == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "training or validation" in line]
    assert line.startswith("note: patients of the model's own training or validation set: Brats18_A_1, Brats18_V_1;")
    content = json.loads((tmp_path / "scores.json").read_text())
    assert line.removeprefix("note: ") in content["notes"] and "misfits" not in content["cases"][0]
    words = ["evaluate", "--truth", "cohort", "--prediction", "out", "--out", "s.json", "--strict"]
    monkeypatch.setattr("sys.argv", ["brats-cascade", *words])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert "Brats18_A_1_seg.nii.gz: --strict: its model may not fit the case" in capsys.readouterr().err
