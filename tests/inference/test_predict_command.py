"""brats-cascade predict from files to files: past bad cases, on where it stopped, and every bad input in one line."""

import errno
import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from predicting import run

from brats_cascade import precision
from brats_cascade.data.images import read_image
from brats_cascade.errors import UserError, ending_in_one_line
from brats_cascade.inference import output
from brats_cascade.shared import open_folder

ALL = ["seg", "probabilities", "uncertainty", "overlay", "montage"]


def read(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


@pytest.mark.slow
def test_a_case_comes_back_in_its_own_geometry_and_numbers(tmp_path, trained, write_nifti_case, capsys) -> None:
    case = write_nifti_case(tmp_path / "in" / "HGG", "Brats18_A_1", truth=False)
    out = tmp_path / "out"
    assert run([case], models=[str(trained()), str(trained(seed=1))], out=out, kinds=ALL, flips=True) == 0
    like, found = nibabel.load(case / "Brats18_A_1_t1.nii.gz"), nibabel.load(out / "Brats18_A_1_seg.nii.gz")
    assert found.shape == like.shape and found.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(found.affine, like.affine)
    labels, brain = np.asarray(found.dataobj), read(case / "Brats18_A_1_t1.nii.gz") > 0
    assert set(np.unique(labels)) <= {0, 1, 2, 4} and labels[brain].any()
    probabilities = read(out / "Brats18_A_1_probabilities.nii.gz")
    assert probabilities.shape == (*like.shape, 5)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    winner = probabilities.argmax(axis=-1)
    np.testing.assert_array_equal(np.where(winner == 3, 1, winner), labels)
    uncertainty = read(out / "Brats18_A_1_uncertainty.nii.gz")
    expected = -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=-1)
    np.testing.assert_allclose(uncertainty, expected, atol=1e-5)
    for kind in ("overlay", "montage"):
        assert (out / f"Brats18_A_1_{kind}.png").read_bytes().startswith(b"\x89PNG")
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert "no choice is recorded" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bad_case_does_not_stop_the_others_and_the_same_command_goes_on(
    tmp_path, trained, write_nifti_case, capsys, monkeypatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for number, name in enumerate(("Brats18_A_1", "Brats18_B_1", "Brats18_C_1")):
        write_nifti_case(source, name, seed=number, omit=("t1ce",) if number == 2 else ())
    broken = source / "Brats18_A_1" / "Brats18_A_1_t2.nii.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert run([source], models=[str(trained())], out=out) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert any("Brats18_A_1" in line and "t2" in line for line in errors)
    assert any("Brats18_C_1: t1c is missing" in line for line in errors)
    assert sorted(path.name for path in out.iterdir()) == ["Brats18_B_1_seg.nii.gz", "volumes.csv"]
    stamp = (out / "Brats18_B_1_seg.nii.gz").stat().st_mtime_ns
    broken.write_bytes(whole)
    shutil.rmtree(source / "Brats18_C_1")
    monkeypatch.setattr(precision, "native_bfloat16", lambda: False)
    assert run([source], models=[str(trained())], out=out, precision="auto") == 0  # float32 here, so B stays
    assert "1 of 2 cases are finished in" in capsys.readouterr().err
    assert (out / "Brats18_A_1_seg.nii.gz").is_file()
    assert (out / "Brats18_B_1_seg.nii.gz").stat().st_mtime_ns == stamp
    assert run([source], models=[str(trained())], out=out, kinds=["seg", "montage"]) == 0  # a new kind: done again
    assert len(list(out.glob("*_montage.png"))) == 2


@pytest.mark.slow
def test_the_rule_of_the_models_own_evaluation_is_used_unless_one_is_given(
    tmp_path, trained, write_nifti_case, capsys
) -> None:
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    model = tmp_path / "models" / "E"
    shutil.copytree(trained(), model)
    (tmp_path / "metrics" / "E").mkdir(parents=True)
    (tmp_path / "metrics" / "E" / "summary.json").write_text(
        '{"postprocess": {"min_component": 70.0, "skull_distance": 0.0}}'
    )
    run([case], models=[str(model)], out=tmp_path / "a")
    assert "removes components below 70 mm3 (chosen on validation)" in capsys.readouterr().err
    run([case], models=[str(model)], out=tmp_path / "b", thresholds={"min_component": 0.0, "skull_distance": None})
    assert "removes nothing (as given)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_volume_smaller_than_the_receptive_field_is_segmented_all_the_same(
    tmp_path, trained, write_nifti_case
) -> None:
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1", shape=(9, 9, 7), labels=())
    assert run([case], models=[str(trained())], out=tmp_path / "out") == 0
    assert read_image(tmp_path / "out" / "Brats18_A_1_seg.nii.gz").array.shape == (9, 9, 7)


@pytest.mark.slow
def test_a_model_of_fewer_classes_is_refused_for_a_five_label_case_unless_allowed(
    tmp_path, trained, write_mha_case, capsys
) -> None:
    case = write_mha_case(tmp_path / "Image_Data" / "HG", "0001")
    model = [str(trained(classes=(0, 1, 2, 4)))]
    assert run([case], models=model, out=tmp_path / "out") == 1
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert "knows only the classes [0, 1, 2, 4]" in line and "--allow-merged" in line
    assert run([case], models=model, out=tmp_path / "out", allow_merged=True) == 0


def test_a_model_of_other_modalities_is_refused(tmp_path, trained, write_nifti_case, capsys) -> None:
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    assert run([case], models=[str(trained(modalities=("flair", "t2")))], out=tmp_path / "out") == 1
    assert "received one trained on flair, t2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model.json").unlink(), r"model\.json: not found; expected a folder that training wrote"),
        (lambda folder: (folder / "model.json").write_text("{}"), r"model\.json: not a model's record"),
        (lambda folder: (folder / "model.keras").write_bytes(b"no model"), r"model\.keras: not a readable Keras model"),
        (lambda folder: _halve(folder / "model.keras"), r"model\.keras: not a readable Keras model"),
        (lambda folder: (folder / "model.keras").unlink(), r"model\.keras: no such model file"),
        (lambda folder: _reword(folder, "two_path", "input_cascade"), r"model\.keras: not the network that"),
        (lambda folder: _reword(folder, "two_path", "u_net"), r"model\.json: not a model's record \(architecture: .*one of"),
        (lambda folder: _reword(folder, '"classes": [', '"classes": [9,'), r"model\.json: not a model's record \(classes\.0: "),
    ],
)  # fmt: skip
def test_a_damaged_model_is_one_line(spoil, message, tmp_path, trained, write_nifti_case) -> None:
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    shutil.copytree(trained(), tmp_path / "model")
    spoil(tmp_path / "model")
    with pytest.raises(UserError, match=message) as caught:
        run([case], models=[str(tmp_path / "model")], out=tmp_path / "out")
    assert "\n" not in str(caught.value)


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _reword(folder: Path, old: str, new: str) -> None:
    record = folder / "model.json"
    assert old in record.read_text()
    record.write_text(record.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["no/such/model"]}, "--model no/such/model: no such file or folder, and not an MLflow URI"),
        (
            {"models": ["models:/nothing@champion"]},
            r"models:/nothing@champion: no MLflow database at .*mlflow\.db; run this",
        ),
        ({"precision": "float16"}, "--precision: expected float32, bfloat16 or auto, got 'float16'"),
    ],
)
def test_wrong_options_are_one_line(options, message, tmp_path, trained, write_nifti_case, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    with pytest.raises(UserError, match=message):
        run([case], **{"models": [str(trained())], "out": tmp_path / "out", **options})
    assert not (tmp_path / "mlflow.db").exists()  # looking for a model leaves no database behind


def test_two_cases_of_one_name_are_refused(tmp_path, trained, write_nifti_case) -> None:
    cases = [write_nifti_case(tmp_path / place, "Brats18_A_1") for place in ("x", "y")]
    with pytest.raises(UserError, match="Brats18_A_1: found in two of the folders given"):
        run(cases, models=[str(trained())], out=tmp_path / "out")


def test_an_output_folder_that_cannot_be_written_is_noticed_first(tmp_path, write_nifti_case, capsys) -> None:
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SystemExit), ending_in_one_line():
        run([case], models=["never opened"], out=tmp_path / "out")
    assert "out: File exists; expected a folder; give another place" in capsys.readouterr().err


def test_a_folder_without_write_permission_is_one_line(tmp_path, capsys) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    root = os.geteuid() == 0
    if root:  # may write everywhere: become somebody else for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(SystemExit), ending_in_one_line():
            open_folder(out)
    finally:
        if root:
            os.seteuid(0)
    assert f"{out}: Permission denied; give yourself permission" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_a_full_disk_stops_at_once_and_finished_cases_stay(tmp_path, trained, write_nifti_case, monkeypatch) -> None:
    for name in ("Brats18_A_1", "Brats18_B_1", "Brats18_C_1"):
        write_nifti_case(tmp_path / "in", name)
    asked, write = [], output.write_segmentation

    def until_full(path: Path, *args: object, **kwargs: object) -> None:
        asked.append(path.name)
        write(path, *args, **kwargs)
        if len(asked) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output, "write_segmentation", until_full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/Brats18_B_1_seg.nii.gz'"):
        run([tmp_path / "in"], models=[str(trained())], out=tmp_path / "out")
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["Brats18_A_1_seg.nii.gz", "volumes.csv"]


@pytest.mark.slow
def test_two_processes_give_the_same_files_and_pass_the_bad_case_on(tmp_path, trained, write_nifti_case) -> None:
    for number in range(3):
        write_nifti_case(tmp_path / "in", f"Brats18_A{number}_1", seed=number, omit=("t2",) if number == 1 else ())
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert run([tmp_path / "in"], models=[str(trained())], out=alone) == 1
    assert run([tmp_path / "in"], models=[str(trained())], out=together, workers=2) == 1
    names = sorted(path.name for path in alone.iterdir())
    assert names == sorted(path.name for path in together.iterdir())
    assert names == ["Brats18_A0_1_seg.nii.gz", "Brats18_A2_1_seg.nii.gz", "volumes.csv"]
    for name in names:
        assert (alone / name).read_bytes() == (together / name).read_bytes()


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_one_line(tmp_path, trained, write_nifti_case) -> None:
    write_nifti_case(tmp_path / "in", "Brats18_A_1")
    with pytest.raises(UserError, match="scheduler"):
        run([tmp_path / "in"], models=[str(trained())], out=tmp_path / "out", scheduler="tcp://127.0.0.1:9")
