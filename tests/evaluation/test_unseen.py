"""One unseen case of the store: scores over the whole volume, as if nothing had been cropped."""

from types import SimpleNamespace

import nibabel
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from brats_cascade.data.cases import find_cases
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.store import StoredCase
from brats_cascade.evaluation.label_files import Labelled
from brats_cascade.evaluation.lesions import score_lesions
from brats_cascade.evaluation.regions import SCORES, score_case
from brats_cascade.evaluation.score_files import score_pair
from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN, nine_slices
from brats_cascade.evaluation.unseen import score_unseen
from brats_cascade.inference.postprocess import OFF, Thresholds
from brats_cascade.labels import REGIONS
from brats_cascade.params import EvaluateParams, Recipe
from brats_cascade.stages.evaluate import _choose

SHAPE, OFFSET = (16, 12, 13), (2, 3, 1)
BOX = (12, 7, 9)


@pytest.fixture
def stored() -> StoredCase:
    rng = np.random.default_rng(0)
    labels = np.zeros(BOX, np.uint8)
    labels[1:11, 2:5, 2:6] = rng.integers(0, 5, (10, 3, 4))
    labels[4, 1:6, 1:7] = 2
    meta = {
        "patient": "P",
        "grade": "high",
        "release": "brats2013",
        "offset": OFFSET,
        "shape": SHAPE,
        "spacing": (2, 1, 1),
    }
    image = rng.normal(size=(*BOX, 4)).astype(np.float32)
    return StoredCase("A", image, np.ones(BOX, bool), labels, meta)


def whole(volume: np.ndarray) -> np.ndarray:
    result = np.zeros((*SHAPE, *volume.shape[3:]), volume.dtype)
    result[2:14, 3:10, 1:10] = volume
    return result


def test_scores_and_slices_equal_those_of_the_uncropped_volumes(stored) -> None:
    probabilities = np.random.default_rng(1).dirichlet([0.3] * 5, size=BOX).astype(np.float32)
    labels = probabilities.argmax(axis=-1).astype(np.uint8)
    unseen = score_unseen(stored, labels=labels, probabilities=probabilities, thresholds=OFF)
    expected = score_case(whole(stored.labels), whole(labels), spacing=(2, 1, 1))
    assert {key: unseen.row[key] for key in expected} == pytest.approx(expected)
    lesions = score_lesions(whole(stored.labels), whole(labels), spacing=(2, 1, 1))
    assert unseen.row == unseen.bare | lesions
    assert unseen.slices["slice"].tolist() == list(range(2, 14))
    everywhere = np.zeros((*SHAPE, 5), np.float32)
    everywhere[..., 0] = 1
    everywhere[2:14, 3:10, 1:10] = probabilities
    for row in unseen.slices.to_dict("records"):
        true = np.eye(5)[whole(stored.labels)[row["slice"]].ravel()].astype(int)[:, 1:4]
        found = np.around(everywhere[row["slice"]].reshape(-1, 5)).astype(int)[:, 1:4]
        score = f1_score(np.argmax(true, axis=1), np.argmax(found, axis=1), average="micro")
        assert row[EARLIER_WORK_COLUMN] == pytest.approx(score, abs=1e-12)


def test_the_earlier_score_of_a_network_that_merges_labels_takes_3_for_necrosis(stored) -> None:
    assert (stored.labels == 3).any()
    labels = np.where(stored.labels == 3, 1, stored.labels).astype(np.uint8)
    given = {"labels": labels, "probabilities": np.eye(5, dtype=np.float32)[labels], "thresholds": OFF}
    merged, five = (
        score_unseen(stored, **given, classes=classes).slices[EARLIER_WORK_COLUMN]
        for classes in ((0, 1, 2, 4), range(5))
    )
    assert (merged == 1).all() and five.min() < 1


def test_the_rule_is_applied_and_the_bare_scores_are_kept(stored) -> None:
    labels = stored.labels.copy()
    labels[0, 0, 0] = 4
    probabilities = np.eye(5, dtype=np.float32)[labels]
    unseen = score_unseen(stored, labels=labels, probabilities=probabilities, thresholds=Thresholds(min_component=5))
    assert unseen.row["complete_ppv"] == 1 > unseen.bare["complete_ppv"]
    assert labels[0, 0, 0] == 4  # left as it was
    assert unseen.drawn == 4
    figure = unseen.draw(stored, title="A")
    assert "slice 6" in figure.get_suptitle() and len(figure.axes) == 8


def test_the_nine_slices_go_through_the_largest_tumour(stored) -> None:
    unseen = score_unseen(
        stored, labels=stored.labels, probabilities=np.eye(5, dtype=np.float32)[stored.labels], thresholds=OFF
    )
    other = unseen.slices.assign(case="B")
    nine = nine_slices(pd.concat([other, unseen.slices]), case="A")
    assert list(nine.columns) == ["case", "slice", "complete_f1", EARLIER_WORK_COLUMN]
    assert set(nine["case"]) == {"A"} and len(nine) == 9
    assert (np.diff(nine["slice"]) == 1).all()
    sums = [(whole(stored.labels)[start : start + 9] > 0).sum() for start in range(SHAPE[0] - 8)]
    assert nine["slice"].iloc[0] == int(np.argmax(sums[2:6])) + 2


@pytest.fixture
def cropped(tmp_path, write_nifti_case) -> StoredCase:
    """A case with part of its edema, and all enhancing tumour, outside the brain's box."""
    path = write_nifti_case(tmp_path, "A", labels=(1, 2)) / "A_seg.nii.gz"
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj).copy()
    voxels[0, 5:8, 4:6], voxels[:3, 0, 4] = 4, 2
    nibabel.Nifti1Image(voxels, image.affine).to_filename(path)
    case = prepare_case(find_cases(tmp_path)[0], recipe=Recipe(clip=0.01))
    assert case.outside == {"complete": 9, "core": 6, "enhancing": 6}
    return case


def test_truth_outside_the_box_is_missed(cropped, tmp_path) -> None:
    truth, found = tmp_path / "A/A_seg.nii.gz", tmp_path / "out/A_seg.nii.gz"
    found.parent.mkdir()
    given = {"labels": cropped.labels, "probabilities": np.eye(5, dtype=np.float32)[cropped.labels]}
    unseen = score_unseen(cropped, **given, thresholds=OFF, folder=found.parent)
    files = (Labelled("A", "A", "unknown", "merged", path) for path in (truth, found))
    expected = score_pair(*files, schemes=("merged", "merged"))
    assert expected["complete_dice"] == pytest.approx(24 / 33) and expected["enhancing_dice"] == 0
    columns = {f"{region}_{score}" for region in REGIONS for score in SCORES} - {"complete_hd95", "core_hd95"}
    for scores in (unseen.row, unseen.bare):
        assert {key: scores[key] for key in columns} == pytest.approx({key: expected[key] for key in columns})


def test_the_choice_on_validation_counts_truth_outside_the_box_as_the_scores_do(cropped) -> None:
    probabilities = np.eye(5, dtype=np.float32)[cropped.labels]
    scores = score_unseen(cropped, labels=cropped.labels, probabilities=probabilities, thresholds=OFF).row
    off = {name: (value,) for name, value in OFF.as_dict().items()}
    _, table = _choose(
        [cropped],
        segment=lambda case: probabilities,
        options=EvaluateParams(precision="float32", slices=1, flips=False, **off),
        calibration=SimpleNamespace(sample=lambda case, probabilities: None, fit=lambda: None),
    )
    dice = {key: scores[key] for key in ("complete_dice", "core_dice", "enhancing_dice")}
    assert {key: table[key].item() for key in dice} == pytest.approx(dice)
    assert dice == pytest.approx({"complete_dice": 24 / 33, "core_dice": 12 / 18, "enhancing_dice": 0})
