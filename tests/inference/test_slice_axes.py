"""Models of coronal and sagittal slices: arrays are cut as files are, and left is exchanged with right alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from settings import train_settings

from brats_cascade.data.cases import find_cases
from brats_cascade.data.images import read_image, to_canonical
from brats_cascade.data.preprocess import AXES, uncrop
from brats_cascade.inference.arrays import segment_array
from brats_cascade.inference.postprocess import Thresholds
from brats_cascade.inference.predict import predict_case
from brats_cascade.inference.segment import Member, label_probabilities
from brats_cascade.models.cascade import GEOMETRY
from brats_cascade.models.files import load_trained
from brats_cascade.training.batches import TrainingCase
from brats_cascade.training.tiles import TileSampler

RULE = Thresholds(min_component=30.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "preprocessing", [*({"axis": axis} for axis in AXES), {"zscore": "volume"}, {"n4": True}, {"clip": 0.1}], ids=str
)
def test_an_array_gets_the_labels_that_its_files_get(preprocessing, trained, tmp_path, write_nifti_case) -> None:
    """Whatever the preprocessing that the model was trained after."""
    network, contract = load_trained(trained())
    member = Member(network, dataclasses.replace(contract, **preprocessing))
    axis = member.contract.axis
    [case] = find_cases(write_nifti_case(tmp_path / "in", "Brats18_A_1", affine=np.diag([-1.0, -1.0, 3.0, 1.0])))
    images = [read_image(case.images[part]) for part in contract.modalities]
    raw = np.stack([to_canonical(image.array, affine=image.affine) for image in images], axis=-1)
    prediction = predict_case(case, members=[member], thresholds=RULE)
    meta = prediction.prepared.meta
    whole = uncrop(prediction.labels, offset=meta["offset"], shape=meta["shape"]).transpose(np.argsort(AXES[axis]))
    labels = segment_array(raw.astype(np.float32), member=member, thresholds=RULE, spacing=(3.0, 1.0, 1.0))
    assert labels.any()
    np.testing.assert_array_equal(labels, whole)


@pytest.mark.slow
@pytest.mark.parametrize("axis", AXES)
def test_flips_give_the_mean_over_the_patient_and_its_mirror_image(axis, trained) -> None:
    """The mirror image is made in the canonical frame (up, forwards, right), whatever the slices."""
    network, contract = load_trained(trained())
    member = Member(network, dataclasses.replace(contract, axis=axis))
    order, back = AXES[axis], np.argsort(AXES[axis])
    patient = np.random.default_rng(0).normal(size=(5, 7, 6, 4)).astype(np.float32)

    def segment(image: np.ndarray, **options: bool) -> np.ndarray:
        turned = np.ascontiguousarray(image.transpose(*order, 3))
        brain = np.ones(turned.shape[:3], bool)
        found = label_probabilities([member], image=turned, brain=brain, spacing=(1, 1, 1), slices=4, **options)
        return found.transpose(*back, 3)

    mean = (segment(patient) + segment(patient[:, :, ::-1])[:, :, ::-1]) / 2
    np.testing.assert_allclose(segment(patient, flips=True), mean, atol=1e-6)


@pytest.mark.parametrize("mirrors", [True, False])
def test_training_flips_slices_that_have_a_left_and_a_right_only(mirrors) -> None:
    """Intensities grow with the column: a flipped window falls."""
    shape = (2, 30, 30)
    image = np.broadcast_to(np.arange(1.0, 31.0, dtype=np.float32)[None, None, :, None], (*shape, 4))
    case = TrainingCase("a", image, np.ones(shape, bool), np.zeros(shape, np.uint8), mirrors=mirrors)
    places = np.random.default_rng(0).integers(0, (2, 30, 30), size=(50, 3))
    centres = pd.DataFrame(places, columns=["slice", "row", "column"]).assign(case="a", label=0)
    sampler = TileSampler(
        [case], centres=centres, classes=(0, 1, 2, 4), geometry=GEOMETRY["two_path"], weights=None, seed=1,
        settings=train_settings(tile=8, batch=4, flip=True, intensity=0.0),
    )  # fmt: skip
    falls = [
        bool((window[20, 17] < window[20, 16]).all()) for step in range(8) for window in sampler.batch(step).inputs[0]
    ]
    assert any(falls) is mirrors and not all(falls)
