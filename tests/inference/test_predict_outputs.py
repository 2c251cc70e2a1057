"""What predict writes is decided by the scans alone, and it replaces nothing that it did not write."""

import csv
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from layouts import tiny_volumes, write_layout
from predicting import run

from brats_cascade.commands.evaluate import run as evaluate
from brats_cascade.data.cases import find_cases
from brats_cascade.errors import UserError
from brats_cascade.inference.chosen import read_chosen
from brats_cascade.inference.finished import refuse_input_folders
from brats_cascade.inference.postprocess import Thresholds

NAME = "Brats18_A_1"


def read(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def _save(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    nibabel.Nifti1Image(voxels, affine).to_filename(path)


def _mirrored(path: Path) -> None:
    image = nibabel.load(path)
    affine = image.affine @ np.array([[-1.0, 0, 0, image.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    _save(path, np.asarray(image.dataobj)[::-1], affine)


def _moved(path: Path) -> None:
    image = nibabel.load(path)
    _save(path, np.asarray(image.dataobj), image.affine + np.array([[0, 0, 0, 40.0], *np.zeros((3, 4))]))


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _of_another_shape(path: Path) -> None:
    _save(path, np.zeros((5, 6, 7), np.int16), np.eye(4))


def _float64(path: Path) -> None:
    image = nibabel.load(path)
    _save(path, np.asarray(image.dataobj).astype(np.float64), image.affine)


def _in_metres(path: Path) -> None:
    image = nibabel.load(path)
    image = nibabel.Nifti1Image(np.asarray(image.dataobj), np.diag([1e-3, 1e-3, 1e-3, 1]) @ image.affine)
    image.header.set_xyzt_units("meter")
    image.to_filename(path)


def _doubled(path: Path) -> None:
    shutil.copy(path, path.with_name(f"{NAME}_seg.nii"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory, trained):
    """The answer for a case that has no ground truth, as bytes."""
    from conftest import _write_nifti_case

    folder = tmp_path_factory.mktemp("alone")
    case = _write_nifti_case(folder / "in", NAME, truth=False)
    assert run([case], models=[str(trained())], out=folder / "out") == 0
    return (folder / "out" / f"{NAME}_seg.nii.gz").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [_mirrored, _moved, _truncated, _of_another_shape, _float64, _doubled])
def test_a_ground_truth_beside_the_scans_changes_nothing(spoil, alone, tmp_path, trained, write_nifti_case) -> None:
    case = write_nifti_case(tmp_path / "in", NAME)
    spoil(case / f"{NAME}_seg.nii.gz")
    assert run([case], models=[str(trained())], out=tmp_path / "out") == 0
    assert (tmp_path / "out" / f"{NAME}_seg.nii.gz").read_bytes() == alone


@pytest.mark.slow
def test_the_scheme_chooses_the_label_numbers(tmp_path, trained, write_nifti_case) -> None:
    case = write_nifti_case(tmp_path / "in", NAME)
    for scheme in ("auto", "decathlon"):
        assert run([case], models=[str(trained())], out=tmp_path / scheme, scheme=scheme) == 0
    merged, decathlon = (read(tmp_path / scheme / f"{NAME}_seg.nii.gz") for scheme in ("auto", "decathlon"))
    for own, other in {0: 0, 1: 2, 2: 1, 4: 3}.items():
        np.testing.assert_array_equal(merged == own, decathlon == other)
    with pytest.raises(UserError, match=r"--scheme: expected auto or one of five, .* got 'six'"):
        run([case], models=[str(trained())], out=tmp_path / "out", scheme="six")


@pytest.mark.slow
def test_a_case_of_2012_is_predicted_and_scored_in_its_two_labels(tmp_path, trained) -> None:
    images, labels = tiny_volumes()
    write_layout(tmp_path / "in", "brats2012", images=images, labels=labels)
    for scheme in ("auto", "five"):
        assert run([tmp_path / "in"], models=[str(trained())], out=tmp_path / scheme, scheme=scheme) == 0
    own, five = (read(tmp_path / scheme / "BRATS_HG0001_seg.nii.gz") for scheme in ("auto", "five"))
    assert set(np.unique(own)) <= {0, 1, 2} and own.any()
    np.testing.assert_array_equal(own == 1, five == 2)  # edema
    np.testing.assert_array_equal(own == 2, np.isin(five, (1, 3, 4)))  # core
    table = tmp_path / "auto" / "volumes.csv"
    before = table.read_text()
    assert before.splitlines()[1].endswith(",")  # enhancing tumour is not available
    table.unlink()
    assert run([tmp_path / "in"], models=[str(trained())], out=tmp_path / "auto") == 0
    assert table.read_text() == before  # from the file as from the network
    five_labels = tmp_path / "five" / "BRATS_HG0001_seg.nii.gz"
    assert nibabel.load(five_labels).header.get_intent() == ("label", (), "five")
    evaluate(
        tmp_path / "in", prediction=tmp_path / "five", out=tmp_path / "f.json"
    )  # its header says how it is numbered
    evaluate(tmp_path / "in", prediction=tmp_path / "auto", out=tmp_path / "t.json")
    [row], [of_five] = (json.loads((tmp_path / name).read_text())["cases"] for name in ("t.json", "f.json"))
    assert of_five["core_dice"] == row["core_dice"] and of_five["complete_dice"] == row["complete_dice"]
    [row] = json.loads((tmp_path / "t.json").read_text())["cases"]
    truth = np.isin(labels, (1, 3, 4))
    expected = 2 * (truth & (own == 2)).sum() / (truth.sum() + (own == 2).sum())
    assert row["core_dice"] == pytest.approx(expected) and row["enhancing_dice"] is None


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_scans_own_folder_is_refused_as_output(overwrite, tmp_path, trained, write_nifti_case) -> None:
    case = write_nifti_case(tmp_path / "in", NAME)
    before = {path.name: path.read_bytes() for path in case.iterdir()}
    with pytest.raises(UserError, match=f"--out .*: contains the scans of {NAME}"):
        run([case], models=[str(trained())], out=case, overwrite=overwrite)
    assert {path.name: path.read_bytes() for path in case.iterdir()} == before


def test_a_folder_with_links_to_the_scans_is_refused_as_output(tmp_path, write_nifti_case) -> None:
    scans, case = write_nifti_case(tmp_path / "scans", NAME, truth=False), tmp_path / "in" / NAME
    case.mkdir(parents=True)
    for path in scans.iterdir():
        (case / path.name).symlink_to(path)
    for out in (case, scans):
        with pytest.raises(UserError, match=f"--out .*: contains the scans of {NAME}"):
            refuse_input_folders(find_cases(tmp_path / "in"), out=out)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_predict_did_not_write_stays_and_the_other_cases_are_done(
    overwrite, tmp_path, trained, write_nifti_case, capsys
) -> None:
    for number, name in enumerate((NAME, "Brats18_B_1")):
        write_nifti_case(tmp_path / "in", name, seed=number)
    out = tmp_path / "out"
    out.mkdir()
    by_hand = out / f"{NAME}_seg.nii.gz"
    shutil.copy(tmp_path / "in" / NAME / f"{NAME}_seg.nii.gz", by_hand)
    before = by_hand.read_bytes()
    assert run([tmp_path / "in"], models=[str(trained())], out=out, overwrite=overwrite) == 1
    assert by_hand.read_bytes() == before and (out / "Brats18_B_1_seg.nii.gz").is_file()
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert NAME in line and str(by_hand) in line


def test_an_answer_that_was_corrected_by_hand_is_not_overwritten(tmp_path, trained, write_nifti_case) -> None:
    case, out = write_nifti_case(tmp_path / "in", NAME), tmp_path / "out"
    assert run([case], models=[str(trained())], out=out) == 0
    path = out / f"{NAME}_seg.nii.gz"
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj).copy()
    voxels[6, 6, 5] = 4 if voxels[6, 6, 5] != 4 else 1
    nibabel.Nifti1Image(voxels, None, image.header).to_filename(path)  # the header, signature included, is kept
    before = path.read_bytes()
    assert run([case], models=[str(trained())], out=out, overwrite=True) == 1
    assert path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"scheme": "decathlon"}, {"flips": True}, {"seed": 1}])
def test_an_answer_made_with_other_options_is_not_taken_for_this_one(
    change, tmp_path, trained, write_nifti_case, capsys
) -> None:
    case, out, kinds = write_nifti_case(tmp_path / "in", NAME), tmp_path / "out", ["seg", "overlay"]
    assert run([case], models=[str(trained())], out=out, kinds=kinds) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run([case], models=[str(trained())], out=out, kinds=kinds) == 0
    assert "1 of 1 cases are finished in" in capsys.readouterr().err
    options = {key: value for key, value in change.items() if key != "seed"}
    models = [str(trained(seed=change.get("seed", 0)))]
    assert run([case], models=models, out=out, kinds=["overlay"], **options) == 1
    assert "was predicted with another model or other options; use --overwrite" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run([case], models=models, out=out, kinds=kinds, overwrite=True, **options) == 0
    assert (out / f"{NAME}_seg.nii.gz").read_bytes() != before[f"{NAME}_seg.nii.gz"]
    assert run([case], models=models, out=out, kinds=kinds, **options) == 0


@pytest.mark.slow
def test_an_answer_for_other_scans_of_the_same_name_is_not_taken_for_this_one(
    tmp_path, trained, write_nifti_case, capsys
) -> None:
    """Another patient's case of that name, or scans that were corrected since."""
    case, out = write_nifti_case(tmp_path / "in", NAME), tmp_path / "out"
    assert run([case], models=[str(trained())], out=out, kinds=["overlay"]) == 0
    assert run([case], models=[str(trained())], out=out, kinds=["overlay"]) == 0
    assert "1 of 1 cases are finished in" in capsys.readouterr().err
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    shutil.rmtree(case)
    write_nifti_case(tmp_path / "in", NAME, seed=1)
    assert run([case], models=[str(trained())], out=out) == 1
    assert f"{NAME}_seg.nii.gz was predicted from other scans; use --overwrite" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run([case], models=[str(trained())], out=out, overwrite=True) == 0
    assert run([case], models=[str(trained())], out=out) == 0


@pytest.mark.slow
def test_limits_that_a_model_does_not_use_are_the_usual_ones(tmp_path, trained) -> None:
    """The record of a model without a rule for the skull has zeros, with which no distance would remove anything."""
    model = tmp_path / "model"
    shutil.copytree(trained(), model)
    (model / "scores.json").write_text(json.dumps({"postprocess": Thresholds(min_component=50).as_dict()}))
    chosen = read_chosen(model)
    assert chosen is not None and chosen.thresholds == Thresholds(min_component=50)
    (model / "scores.json").write_text(
        json.dumps({"postprocess": Thresholds(skull_distance=3, flatness=0.2).as_dict()})
    )
    chosen = read_chosen(model)
    assert chosen is not None and chosen.thresholds == Thresholds(skull_distance=3, flatness=0.2)


@pytest.mark.slow
def test_a_model_evaluated_with_flips_predicts_with_flips(tmp_path, trained, write_nifti_case) -> None:
    case, model = write_nifti_case(tmp_path / "in", NAME), tmp_path / "model"
    shutil.copytree(trained(), model)
    rule = {"min_component": 0.0, "skull_distance": 0.0, "flatness": 0.0, "skull_volume": 0.0}
    (model / "scores.json").write_text(json.dumps({"postprocess": rule, "flips": True}))
    for name, flips in {"evaluated": None, "with": True, "without": False}.items():
        assert run([case], models=[str(model)], out=tmp_path / name, kinds=["probabilities"], flips=flips) == 0
    maps = {name: read(tmp_path / name / f"{NAME}_probabilities.nii.gz") for name in ("evaluated", "with", "without")}
    np.testing.assert_array_equal(maps["evaluated"], maps["with"])
    assert np.abs(maps["evaluated"] - maps["without"]).max() > 1e-4


def test_volumes_that_belong_to_no_case_are_named(tmp_path, trained, write_nifti_case, capsys) -> None:
    write_nifti_case(tmp_path / "in", NAME)
    write_nifti_case(tmp_path / "in", "Brats18_B_1").rename(tmp_path / "in" / "renamed")
    assert run([tmp_path / "in"], models=[str(trained())], out=tmp_path / "out") == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "not used" in line]
    assert "renamed/Brats18_B_1_flair.nii.gz and 4 more: it is expected in a folder called Brats18_B_1" in line


@pytest.mark.slow
def test_other_files_by_the_names_of_ours_are_not_replaced(tmp_path, trained, write_nifti_case) -> None:
    case = write_nifti_case(tmp_path / "in", NAME)
    kinds = {"overlay": "png", "uncertainty": "nii.gz"}
    for kind, suffix in kinds.items():
        out = tmp_path / kind
        out.mkdir()
        (out / f"{NAME}_{kind}.{suffix}").write_bytes(b"somebody else's")
        assert run([case], models=[str(trained())], out=out, kinds=["seg", kind], overwrite=True) == 1
        assert [path.read_bytes() for path in out.iterdir()] == [b"somebody else's"]
    all_kinds = ["seg", *kinds]
    assert run([case], models=[str(trained())], out=tmp_path / "out", kinds=all_kinds) == 0
    assert run([case], models=[str(trained())], out=tmp_path / "out", kinds=all_kinds, overwrite=True) == 0
    for table in ("case,size\nX,1\n", "case,complete_cm3,core_cm3,enhancing_cm3\nX,1,2,3,4\n"):
        (tmp_path / "out" / "volumes.csv").write_text(table)
        with pytest.raises(UserError, match=r"volumes\.csv: not a table that predict wrote"):
            run([case], models=[str(trained())], out=tmp_path / "out", overwrite=True)


def test_the_table_of_volumes_grows_with_the_cases_and_counts_the_files_voxels(
    tmp_path, trained, write_nifti_case
) -> None:
    affine, out = np.diag([-2.0, -1.5, 1.0, 1]), tmp_path / "out"
    for number, name in enumerate(("Brats18_B_1", NAME)):
        case = write_nifti_case(tmp_path / "in", name, seed=number, affine=affine)
        for path in case.iterdir() if name != NAME else ():
            _in_metres(path)
        assert run([case], models=[str(trained())], out=out) == 0
    table = (out / "volumes.csv").read_bytes()
    rows = list(csv.DictReader(table.decode().splitlines()))
    assert [row["case"] for row in rows] == [NAME, "Brats18_B_1"]
    for row in rows:
        labels = read(out / f"{row['case']}_seg.nii.gz")
        for region, numbers in {"complete": (1, 2, 4), "core": (1, 4), "enhancing": (4,)}.items():
            assert float(row[f"{region}_cm3"]) == pytest.approx(np.isin(labels, numbers).sum() * 3 / 1000, abs=5e-4)
    (out / "volumes.csv").write_text("\n".join(table.decode().splitlines()[:2]) + "\n")  # killed before its last row
    assert run([tmp_path / "in"], models=[str(trained())], out=out) == 0
    assert (out / "volumes.csv").read_bytes() == table
