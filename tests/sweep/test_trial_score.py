"""The score of a trial against predictions made in plain loops."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from brats_cascade.inference.coarse import predict_coarse
from brats_cascade.models.build import build_model
from brats_cascade.models.two_path import Style
from brats_cascade.params import load_params
from brats_cascade.sweep import objective
from brats_cascade.sweep.plan import plan_of
from brats_cascade.training.batches import TrainingCase, TrainingData

CLASSES = (0, 1, 2, 4)
ORDERS = [(0, 1, 2), (1, 0, 2), (2, 0, 1)]
SPACING = (1.0, 1.0, 1.0)


def _network(architecture: str, style: Style) -> keras.Model:
    """A network of random weights, whose prediction differs between the axes."""
    network, rng = build_model(architecture, classes=len(CLASSES), style=style), np.random.default_rng(1)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(0, 0.2 if architecture == "coarse_cascade" else 0.05, weight.shape))
    return network


def _balance(network: keras.Model, *, probabilities: np.ndarray) -> None:
    """Shifts the output's bias so that about half of the brain is tumour."""
    scores = np.log(probabilities[_case().brain])
    last = network.get_layer("cnn2") if network.name == "coarse_cascade" else network
    bias = last.get_layer("output").bias
    bias.assign_add(np.eye(len(CLASSES))[0] * np.median(scores[:, 1:].max(axis=-1) - scores[:, 0]))


def _case(truth: np.ndarray | None = None) -> TrainingCase:
    brain = np.zeros((14, 20, 18), bool)
    brain[1:13, 2:18, 2:16] = True
    image = (np.random.default_rng(0).normal(size=(*brain.shape, 4)) * brain[..., None]).astype(np.float32)
    labels = np.zeros(brain.shape, np.uint8) if truth is None else truth
    return TrainingCase("b", image, brain, labels, patient="b", spacing=SPACING)


def _two_path(network: keras.Model, *, orders: list[tuple[int, int, int]]) -> np.ndarray:
    """The mean over slices along some axes, each a whole slice with zeros around it."""
    case, found = _case(), np.zeros((14, 20, 18, len(CLASSES)), np.float32)
    for order in orders:
        slices = np.pad(np.moveaxis(case.image, order, (0, 1, 2)), ((0, 0), (16, 16), (16, 16), (0, 0)))
        found += np.moveaxis(network.predict_on_batch(slices), (0, 1, 2), order) / len(orders)
    return found


def _coarse(network: keras.Model, *, orders: list[tuple[int, int, int]]) -> np.ndarray:
    case, axes = _case(), "all" if len(orders) > 1 else "one"
    return predict_coarse(network, image=case.image, brain=case.brain, spacing=SPACING, axes=axes)


def _tumour(probabilities: np.ndarray) -> np.ndarray:
    return np.where(_case().brain, np.array(CLASSES)[probabilities.argmax(axis=-1)], 0).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "predict"), [("two_path", _two_path), ("coarse_cascade", _coarse)])
@pytest.mark.parametrize("axes", ["one", "all"])
def test_a_trial_is_scored_on_what_its_network_predicts_in_use(
    architecture, predict, axes, make_project, tmp_path, monkeypatch
) -> None:
    """With the ground truth that the network predicts along its axes the Dice is 1, with that of the other axes it is not."""
    style = Style(width=0.25 if architecture == "coarse_cascade" else 0.1, axes=axes, normalisation="none")
    network = _network(architecture, style)
    below = style if architecture == "coarse_cascade" else None
    trained = SimpleNamespace(network=network, style=style, cnn1_style=below, seconds=1.0, pixels=5)
    monkeypatch.setattr(objective, "train_entry", lambda *_, **__: trained)
    plan = plan_of(load_params(make_project() / "params.yaml"))
    plan = replace(plan, entry=plan.entry.model_copy(update={"architecture": architecture}))
    _balance(network, probabilities=predict(network, orders=ORDERS))
    one, all_axes = (_tumour(predict(network, orders=orders)) for orders in (ORDERS[:1], ORDERS))
    assert 0.05 < (one[_case().brain] > 0).mean() < 0.95

    def score(truth: np.ndarray) -> float:
        data = TrainingData([], [_case(truth)], {}, CLASSES)
        found = objective.train_trial(
            plan, plan.entry.train, data=data, root=tmp_path, folder=tmp_path, on_check=lambda _: None
        )
        assert found.cases == {"b": found.complete} and found.parameters == network.count_params()
        return found.complete

    used, other = (one, all_axes) if axes == "one" else (all_axes, one)
    dice = 2 * ((used > 0) & (other > 0)).sum() / ((used > 0).sum() + (other > 0).sum())
    assert dice < 0.9
    assert score(used) == pytest.approx(1, abs=5e-4)  # of voxels whose scores are nearly equal
    assert score(other) == pytest.approx(dice, abs=5e-4)
