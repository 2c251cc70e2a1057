"""brats-cascade export-nnunet: what is written keeps nnU-Net's rules, and predictions in its numbers are read back."""

import json
import re
import shlex
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from brats_cascade.commands.evaluate import run as evaluate
from brats_cascade.commands.nnunet import dataset_json, export, numbering
from brats_cascade.data.pseudonyms import pseudonym, read_key
from brats_cascade.errors import UserError
from brats_cascade.params.blocks import DataParams
from brats_cascade.project import Project

SPLIT = {"train": ["Brats18_A_1", "Brats18_B_1"], "validation": ["Brats18_C_1"], "test": ["Brats18_D_1"]}


def split_into(root: Path, sets: dict) -> None:
    (root / "data").mkdir(exist_ok=True)
    patients = {name: sets[name] for name in ("train", "validation", "test")}
    (root / "data" / "splits.json").write_text(json.dumps({"seed": 1, **sets, "patients": patients}))


def broken_rules(folder: Path) -> list[str]:
    """The rules of nnU-Net v2's `verify_dataset_integrity` (2.8.1) that a dataset breaks.

    dataset.json has labels, channel_names, numTraining and file_ending; "background" is 0 and the labels, taken out of their
    regions, are consecutive; with regions there is a regions_class_order of equal length. imagesTr and labelsTr exist, cases
    are told by names without the last five characters, _0000, and are numTraining. Every case has one file per channel and one
    of labels; voxels are finite, labels known, and all files of a case have one shape and spacing, origin and direction.
    """
    content = json.loads((folder / "dataset.json").read_text())
    end, labels = content["file_ending"], content["labels"]
    members = [value for value in labels.values() if isinstance(value, list)]
    known = sorted({number for value in labels.values() for number in (value if isinstance(value, list) else [value])})
    broken = []
    if labels["background"] != 0 or known != list(range(len(known))):
        broken.append("labels are consecutive from 0")
    if members and len(content["regions_class_order"]) != len(labels) - 1:
        broken.append("every region has a label")
    names = sorted(path.name[: -len(end)] for path in (folder / "imagesTr").iterdir())
    cases = sorted({name[:-5] for name in names})
    if len(cases) != content["numTraining"]:
        broken.append("numTraining")
    for case in cases:
        channels = [name for name in names if re.fullmatch(re.escape(case) + r"_\d\d\d\d", name)]
        if channels != [f"{case}_{channel:04d}" for channel in range(len(content["channel_names"]))]:
            broken.append(f"{case}: channels")
        images = [SimpleITK.ReadImage(str(folder / "imagesTr" / f"{name}{end}")) for name in channels]
        truth = SimpleITK.ReadImage(str(folder / "labelsTr" / f"{case}{end}"))
        if not set(np.unique(SimpleITK.GetArrayViewFromImage(truth)).tolist()) <= set(known):
            broken.append(f"{case}: unknown labels")
        for image in images:
            same = (image.GetSpacing(), image.GetOrigin(), image.GetDirection(), image.GetSize())
            if same != (truth.GetSpacing(), truth.GetOrigin(), truth.GetDirection(), truth.GetSize()):
                broken.append(f"{case}: grids differ")
    return broken


OPTIONS = {"data": DataParams(source="cohort"), "dataset": 501, "regions": True}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, write_nifti_case) -> Path:
    root = tmp_path_factory.mktemp("project")
    for seed, name in enumerate("ABCD"):
        write_nifti_case(root / "cohort" / "HGG", f"Brats18_{name}_1", seed=seed)
    split_into(root, SPLIT)
    return root


@pytest.fixture(scope="module")
def written(cohort) -> Path:
    text = export(Project(cohort), out=cohort / "nn", **OPTIONS)
    assert "nnUNetv2_train 501 3d_fullres 0" in text and "4 cases in nnUNet_raw/Dataset501_BratsCascade" in text
    return cohort / "nn"


def test_the_dataset_keeps_nnunets_rules_and_a_copy_that_breaks_one_is_found(written, tmp_path):
    folder = written / "nnUNet_raw/Dataset501_BratsCascade"
    assert broken_rules(folder) == []
    content = json.loads((folder / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "complete": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
    assert content["regions_class_order"] == [1, 2, 3] and content["label_scheme"] == "decathlon"
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/imagesTr/Brats18_A_1_0003.nii.gz").unlink()
    assert broken_rules(tmp_path / "copy") == ["Brats18_A_1: channels"]


def test_the_split_is_the_projects_and_voxels_are_the_files_own(written, cohort):
    [fold] = json.loads((written / "nnUNet_preprocessed/Dataset501_BratsCascade/splits_final.json").read_text())
    assert fold == {"train": SPLIT["train"], "val": SPLIT["validation"]}
    folder = written / "nnUNet_raw/Dataset501_BratsCascade"
    tested = sorted(path.name for path in (folder / "imagesTs").iterdir())
    assert tested == [f"Brats18_D_1_{channel:04d}.nii.gz" for channel in range(4)]
    case = cohort / "cohort/HGG/Brats18_D_1"
    for channel, name in enumerate(("flair", "t1", "t1ce", "t2")):  # the order of channel_names
        own, copy = (
            nibabel.load(case / f"Brats18_D_1_{name}.nii.gz"),
            nibabel.load(folder / "imagesTs" / tested[channel]),
        )
        np.testing.assert_array_equal(own.dataobj, copy.dataobj)
        np.testing.assert_array_equal(own.affine, copy.affine)
    truth = np.asarray(nibabel.load(case / "Brats18_D_1_seg.nii.gz").dataobj)
    labels = np.asarray(nibabel.load(folder / "labelsTs/Brats18_D_1.nii.gz").dataobj)
    for number, consecutive in {0: 0, 1: 2, 2: 1, 4: 3}.items():
        assert (labels[truth == number] == consecutive).all()


def test_predictions_in_nnunets_numbers_are_read_back_by_the_dataset_json_beside_them(written, cohort):
    folder, predicted = written / "nnUNet_raw/Dataset501_BratsCascade", written / "predicted"
    predicted.mkdir()
    labels = SimpleITK.ReadImage(str(folder / "labelsTs/Brats18_D_1.nii.gz"))
    plain = SimpleITK.GetImageFromArray(SimpleITK.GetArrayFromImage(labels))  # as nnU-Net writes: geometry alone
    plain.CopyInformation(labels)
    SimpleITK.WriteImage(plain, str(predicted / "Brats18_D_1.nii.gz"))
    with pytest.raises(UserError, match="no prediction could be scored"):  # 3 is no number of this cohort
        evaluate(cohort / "cohort", prediction=predicted, out=predicted / "scores.json")
    shutil.copy(folder / "dataset.json", predicted)  # as nnUNetv2_predict does
    evaluate(cohort / "cohort", prediction=predicted, out=predicted / "scores.json")
    [row] = json.loads((predicted / "scores.json").read_text())["cases"]
    assert [row[f"{region}_dice"] for region in ("complete", "core", "enhancing")] == [1, 1, 1]


def test_five_labels_keep_their_numbers_and_a_mixed_cohort_is_merged():
    assert numbering(["five", "five"]) == "five" and numbering(["five", "merged-2023"]) == "decathlon"
    assert dataset_json("five", cases=1, regions=True)["regions_class_order"] == [2, 1, 4]
    five = dataset_json("five", cases=1, regions=False)
    assert list(five["labels"].values()) == [0, 1, 2, 3, 4] and "regions_class_order" not in five
    merged = dataset_json("decathlon", cases=1, regions=False)["labels"]
    assert merged == {"background": 0, "edema": 1, "necrosis and non-enhancing tumour": 2, "enhancing tumour": 3}


def test_what_cannot_be_exported_is_one_line(written, cohort, tmp_path):
    with pytest.raises(UserError, match="Dataset501_BratsCascade: already exists; remove it, or choose another --out"):
        export(Project(cohort), out=written, **OPTIONS)
    shutil.copytree(cohort / "cohort", tmp_path / "cohort")
    split_into(tmp_path, {**SPLIT, "test": ["Brats18_X_1"]})
    with pytest.raises(UserError, match="names Brats18_X_1, whose ground truth is not in cohort"):
        export(Project(tmp_path), out=tmp_path / "nn", **OPTIONS)
    assert not (tmp_path / "nn").exists()


def test_a_dataset_is_never_without_the_split_and_printed_commands_can_be_typed(cohort, tmp_path):
    (tmp_path / "nnUNet_preprocessed").touch()  # the split cannot be written
    with pytest.raises(NotADirectoryError):
        export(Project(cohort), out=tmp_path, **OPTIONS)
    assert not (tmp_path / "nnUNet_raw/Dataset501_BratsCascade").exists()
    text = export(Project(cohort), out=tmp_path / "with a space", **OPTIONS)
    words = [shlex.split(line) for line in text.splitlines()]
    assert words[1] == ["cd", str(tmp_path / "with a space")]
    assert words[-1][-1] == str(tmp_path / "with a space/scores.json")


def test_pseudonyms_stay_and_the_printed_command_scores_by_them(cohort, tmp_path):
    shutil.copytree(cohort / "cohort", tmp_path / "cohort")
    key = read_key(tmp_path)
    ids = {part: [pseudonym(name, key=key) for name in names] for part, names in SPLIT.items()}
    split_into(tmp_path, ids)
    text = export(
        Project(tmp_path), out=tmp_path / "nn", **{**OPTIONS, "data": DataParams(source="cohort", pseudonyms=True)}
    )
    folder = tmp_path / "nn/nnUNet_raw/Dataset501_BratsCascade"
    assert broken_rules(folder) == [] and not [path for path in (tmp_path / "nn").rglob("*Brats18*")]
    shutil.copytree(folder / "labelsTs", tmp_path / "nn/predicted")  # as nnUNetv2_predict writes them
    shutil.copy(folder / "dataset.json", tmp_path / "nn/predicted")
    _, truth, scheme = re.search(r"(--truth) (\S+) .* --scheme (\w+)$", text).groups()
    evaluate(Path(truth), prediction=tmp_path / "nn/predicted", out=tmp_path / "scores.json", scheme=scheme)
    [row] = json.loads((tmp_path / "scores.json").read_text())["cases"]
    assert row["case"] == ids["test"][0] and row["core_dice"] == 1
