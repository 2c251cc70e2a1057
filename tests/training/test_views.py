"""Cases along all three axes: the same voxels, and networks that are trained and used along each of them."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from settings import train_settings

from brats_cascade.inference.coarse import predict_coarse
from brats_cascade.inference.segment import Member, label_probabilities
from brats_cascade.models.files import Contract
from brats_cascade.training.batches import TrainingData
from brats_cascade.training.coarse import on_coarse_grid
from brats_cascade.training.experiment import Experiment, train_experiment
from brats_cascade.training.views import along_all_axes

CLASSES = (0, 1, 2, 3, 4)
NAMES = ["a", "a along rows", "a along columns"]


def _data(case, draw_centres) -> TrainingData:
    sets = {name: draw_centres([case], count=50, seed=seed) for seed, name in enumerate(("phase1", "phase2"))}
    return TrainingData([case], [case], sets, CLASSES)


def test_every_view_has_the_same_voxels_and_centres(make_case, draw_centres) -> None:
    case = replace(make_case("a", shape=(6, 20, 24)), spacing=(3.0, 1.0, 2.0))
    data = _data(case, draw_centres)
    found = along_all_axes(data)
    assert [view.name for view in found.train] == NAMES and list(found.validation) == [case]
    assert [view.spacing for view in found.train] == [(3.0, 1.0, 2.0), (1.0, 3.0, 2.0), (2.0, 3.0, 1.0)]
    assert [view.mirrors for view in found.train] == [
        True,
        True,
        False,
    ]  # only reversed columns exchange left and right
    views = {view.name: view for view in found.train}
    for layer, row, column in [(1, 5, 7), (3, 19, 0), (5, 10, 23)]:
        for part in ("image", "brain", "labels"):
            expected = getattr(case, part)[layer, row, column]
            np.testing.assert_array_equal(getattr(views["a along rows"], part)[row, layer, column], expected)
            np.testing.assert_array_equal(getattr(views["a along columns"], part)[column, layer, row], expected)
    for name, table in found.patch_sets.items():
        original = data.patch_sets[name]
        wanted = [
            case.labels[place] for place in original[["slice", "row", "column"]].itertuples(index=False, name=None)
        ]
        for view in found.train:
            own = table[table["case"] == view.name][["slice", "row", "column"]].itertuples(index=False, name=None)
            assert [view.labels[place] for place in own] == wanted


def test_slabs_along_another_axis_are_those_of_the_turned_case(make_case, draw_centres) -> None:
    case = replace(make_case("a", shape=(7, 20, 26)), spacing=(1.0, 1.0, 1.0))
    found = along_all_axes(on_coarse_grid(_data(case, draw_centres)))
    for view, order in zip(found.train[1:], [(1, 0, 2), (2, 0, 1)], strict=True):
        turned = replace(
            case,
            image=np.moveaxis(case.image, order, (0, 1, 2)),
            brain=np.moveaxis(case.brain, order, (0, 1, 2)),
            labels=np.moveaxis(case.labels, order, (0, 1, 2)),
        ).on_coarse_grid
        np.testing.assert_allclose(view.image, turned.image, atol=1e-6)
        np.testing.assert_array_equal(view.labels, turned.labels)
        np.testing.assert_array_equal(view.brain, turned.brain)


@pytest.mark.slow
def test_a_unet_along_all_axes_is_the_mean_of_three(make_case, draw_centres, tmp_path: Path) -> None:
    case = make_case("a", shape=(20, 40, 44))
    settings = train_settings(
        width=0.1, steps=6, phase2_steps=0, checks=1, tile=16, batch=2, procedure="single", axes="all"
    )
    trained = train_experiment(Experiment("unet", _data(case, draw_centres), settings), folder=tmp_path)
    assert set(trained.weights["case"]) == set(NAMES)  # each view has class weights of its own slices
    contract = Contract("unet", CLASSES, ("flair", "t1", "t1c", "t2"), 0.01, trained.style, None)
    found = _probabilities(trained.network, contract, image=case.image, brain=case.brain)
    one = replace(contract, style=replace(trained.style, axes="one"))
    expected = np.zeros_like(found)
    for order in [(0, 1, 2), (1, 0, 2), (2, 0, 1)]:
        image, brain = (np.ascontiguousarray(np.moveaxis(of, order, (0, 1, 2))) for of in (case.image, case.brain))
        expected += np.moveaxis(_probabilities(trained.network, one, image=image, brain=brain), (0, 1, 2), order) / 3
    assert contract.style.axes == "all"
    assert np.abs(found - _probabilities(trained.network, one, image=case.image, brain=case.brain)).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(found[~case.brain][:, 0], 1)


def _probabilities(network: keras.Model, contract: Contract, *, image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    return label_probabilities([Member(network, contract)], image=image, brain=brain, spacing=(1.0, 1.0, 1.0))


@pytest.mark.slow
def test_a_coarse_cascade_gets_the_maps_in_use_that_it_was_validated_on(
    make_case, draw_centres, tmp_path: Path
) -> None:
    cases = [make_case(name, seed=seed, shape=(12, 40, 44)) for seed, name in enumerate("ab")]
    sets = {name: draw_centres(cases, count=300, equal=True) for name in ("phase1", "phase2")}
    settings = train_settings(
        width=0.25, steps=40, phase2_steps=0, checks=1, tile=16, batch=4, class_weights="none", learning_rate=0.01,
        procedure="single", cnn1_folds=2, axes="all",
    )  # fmt: skip
    data = TrainingData(cases, cases[:1], sets, CLASSES)
    trained = train_experiment(Experiment("coarse_cascade", data, settings), folder=tmp_path)
    [row] = trained.progress.history
    assert row["validation_complete"] > 0.7
    style, cnn1_style = trained.style, trained.cnn1_style
    assert cnn1_style is not None and cnn1_style.axes == "all"
    contract = Contract("coarse_cascade", CLASSES, ("flair", "t1", "t1c", "t2"), 0.01, style, cnn1_style)
    case = {"image": cases[0].image, "brain": cases[0].brain}
    probabilities = _probabilities(trained.network, contract, **case)
    along = {
        axes: predict_coarse(trained.network, **case, spacing=(1.0, 1.0, 1.0), axes=axes) for axes in ("one", "all")
    }
    np.testing.assert_array_equal(probabilities, along["all"])
    assert np.abs(along["all"] - along["one"]).max() > 1e-3
    labels = probabilities.argmax(axis=-1)
    found, truth = labels[cases[0].brain] > 0, cases[0].labels[cases[0].brain] > 0
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert dice == pytest.approx(row["validation_complete"], abs=0.02)  # maps are stored in 8 bits
