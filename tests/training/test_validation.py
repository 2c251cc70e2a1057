"""Validation during training against evaluation's own scores and naive loops."""

import numpy as np
import pytest

from brats_cascade.evaluation.regions import score_case
from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import CNN2
from brats_cascade.models.two_path import Style
from brats_cascade.training import validation
from brats_cascade.training.validation import predict_slices, spread_slices, validation_scores

CLASSES = (0, 1, 2, 3, 4)


def _network():
    model = build_model("two_path", style=Style(width=0.05, normalisation="none"))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.05, weight.shape) for weight in model.get_weights()])
    return model


def test_slices_are_predicted_as_a_whole_padded_slice(cohort) -> None:
    network, case = _network(), cohort[0]
    found = predict_slices(network, case=case, layers=[1, 2, 3], geometry=CNN2, at_once=2)
    expected = network.predict_on_batch(np.pad(case.image[1:4], ((0, 0), (16, 16), (16, 16), (0, 0))))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_scores_are_those_of_evaluation_on_the_same_voxels(cohort) -> None:
    """All slices with brain are taken here, so that region Dice is the whole volume's."""
    network = _network()
    scores = validation_scores(network, cases=cohort, classes=CLASSES, geometry=CNN2, slices=24)
    dice: dict[str, list[float]] = {"complete": [], "core": [], "enhancing": []}
    losses, called, true = [], 0, 0
    for case in cohort:
        found = predict_slices(network, case=case, layers=range(4), geometry=CNN2)
        labels = np.where(case.brain, found.argmax(axis=-1), 0).astype(np.uint8)
        row = score_case(case.labels, labels, spacing=(1.0, 1.0, 1.0))
        for region, values in dice.items():
            values.append(row[f"{region}_dice"])
        losses.append(
            np.mean([-np.log(found[place][case.labels[place]]) for place in map(tuple, np.argwhere(case.brain))])
        )
        called, true = called + (labels > 0).sum(), true + (case.labels > 0).sum()
    for region, values in dice.items():
        assert scores[region] == pytest.approx(np.mean(values))
    assert scores["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert scores["tumour_share"] == pytest.approx(called / true)
    assert list(scores) == ["loss", "complete", "core", "enhancing", "tumour_share"]


@pytest.mark.parametrize(("label", "share"), [(0, 0.0), (2, None)])
def test_the_tumour_share_shows_a_collapse(cohort, monkeypatch, label: int, share: float | None) -> None:
    def always(network, *, case, layers, **rest):
        found = np.full((len(layers), *case.brain.shape[1:], 5), 0.01, np.float32)
        found[..., label] = 0.96
        return found

    monkeypatch.setattr(validation, "predict_slices", always)
    scores = validation_scores(None, cases=cohort, classes=CLASSES, geometry=CNN2)
    brain, tumour = sum(case.brain.sum() for case in cohort), sum((case.labels > 0).sum() for case in cohort)
    assert scores["tumour_share"] == pytest.approx(brain / tumour if share is None else share)
    assert scores["complete"] < 0.3


def test_a_region_that_is_nowhere_counts_as_found(cohort, monkeypatch) -> None:
    cohort[0].labels[:] = 0

    def nothing(network, *, case, layers, **rest):
        return np.broadcast_to(np.float32([0.96, 0.01, 0.01, 0.01, 0.01]), (len(layers), *case.brain.shape[1:], 5))

    monkeypatch.setattr(validation, "predict_slices", nothing)
    scores = validation_scores(None, cases=cohort[:1], classes=CLASSES, geometry=CNN2)
    assert scores["complete"] == scores["core"] == scores["enhancing"] == 1
    assert scores["tumour_share"] == 0


def test_slices_are_spread_over_those_with_brain() -> None:
    brain = np.zeros((20, 3, 3), bool)
    brain[4:15, 1, 1] = True
    assert spread_slices(brain, count=3) == [4, 9, 14]
    assert spread_slices(brain, count=50) == list(range(4, 15))
    assert spread_slices(brain, count=1) == [4]
