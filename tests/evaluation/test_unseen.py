"""One unseen case of the store: scores over the whole volume, as if nothing had been cropped."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from brats_cascade.data.store import StoredCase
from brats_cascade.evaluation.lesions import score_lesions
from brats_cascade.evaluation.regions import score_case
from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN, nine_slices
from brats_cascade.evaluation.unseen import score_unseen
from brats_cascade.inference.postprocess import OFF, Thresholds

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
