"""Means over networks and flips, and their entropy, in closed form."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from brats_cascade.errors import UserError
from brats_cascade.inference.segment import Member, check_members, entropy, label_probabilities, most_probable
from brats_cascade.models.files import Contract, load_trained
from brats_cascade.models.two_path import Style

CONTRACT = Contract("two_path", (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, Style(), None)


class Constant:
    """A network that gives every pixel the same probabilities."""

    def __init__(self, *probabilities: float) -> None:
        self.values = np.array(probabilities, np.float32)
        self.output_shape = (None, None, None, len(probabilities))

    def predict_on_batch(self, window: np.ndarray) -> np.ndarray:
        count, rows, columns, _ = window.shape
        return np.tile(self.values, (count, rows - 32, columns - 32, 1))


def _case() -> dict[str, np.ndarray]:
    brain = np.zeros((3, 6, 8), bool)
    brain[1:, 1:5, 2:7] = True
    image = np.random.default_rng(0).normal(size=(*brain.shape, 4)).astype(np.float32) * brain[..., None]
    return {"image": image, "brain": brain, "spacing": (1.0, 1.0, 1.0)}


def test_the_mean_of_several_networks_and_what_lies_outside() -> None:
    case = _case()
    members = [Member(Constant(0.5, 0.5, 0, 0, 0), CONTRACT), Member(Constant(0.1, 0.2, 0.3, 0.1, 0.3), CONTRACT)]
    found = label_probabilities(members, **case, slices=2)
    np.testing.assert_allclose(found[case["brain"]], np.tile([0.3, 0.35, 0.15, 0.05, 0.15], (40, 1)), atol=1e-6)
    np.testing.assert_array_equal(found[~case["brain"]][:, 0], 1)
    assert set(np.unique(most_probable(found))) == {0, 1}


def test_a_network_of_four_classes_gives_no_label_3() -> None:
    four = replace(CONTRACT, classes=(0, 1, 2, 4))
    found = label_probabilities([Member(Constant(0.1, 0.2, 0.3, 0.4), four)], **_case(), slices=2)
    np.testing.assert_allclose(found[2, 2, 3], [0.1, 0.2, 0.3, 0, 0.4], atol=1e-6)
    assert most_probable(found)[2, 2, 3] == 4


def test_flips_are_the_mean_with_the_mirror_image(trained) -> None:
    case = _case()
    member = Member(*load_trained(trained()))
    plain = label_probabilities([member], **case, slices=2)
    mirrored = label_probabilities(
        [member],
        image=case["image"][:, :, ::-1].copy(),
        brain=case["brain"][:, :, ::-1].copy(),
        spacing=case["spacing"],
        slices=2,
    )
    both = label_probabilities([member], **case, slices=2, flips=True)
    assert np.abs(plain - mirrored[:, :, ::-1]).max() > 1e-3  # the network does not treat them alike
    np.testing.assert_allclose(both, (plain + mirrored[:, :, ::-1]) / 2, atol=1e-6)


def test_entropy_in_closed_form() -> None:
    probabilities = np.array([[1, 0, 0, 0, 0], [0.2] * 5, [0.5, 0.5, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(entropy(probabilities), [0, np.log(5), np.log(2)], atol=1e-6)
    from scipy.stats import entropy as scipy_entropy

    drawn = np.random.default_rng(0).dirichlet([1] * 5, size=50)
    np.testing.assert_allclose(entropy(drawn.astype(np.float32)), scipy_entropy(drawn, axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"classes": (0, 1, 2, 4)}, r"model 2 of 2: expected classes \(0, 1, 2, 3, 4\) .* received \(0, 1, 2, 4\)"),
        ({"clip": 0.05}, "expected preprocessing {'clip': 0.01.* received {'clip': 0.05"),
        ({"modalities": ("flair", "t1")}, "expected modalities"),
    ],
)
def test_networks_that_do_not_belong_together_are_refused(other, message) -> None:
    members = [Member(keras.Sequential(), CONTRACT), Member(keras.Sequential(), replace(CONTRACT, **other))]
    with pytest.raises(UserError, match=message):
        check_members(members)


@pytest.mark.parametrize("point", [-1.5, -0.2, 0.7])
def test_an_operating_point_is_added_to_the_score_of_non_tumour(rng, point: float) -> None:
    scores = rng.normal(size=(3, 8, 8, 5))
    probabilities = (np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)).astype(np.float32)
    found = most_probable(probabilities, operating_point=point)
    shift = np.array([point, 0, 0, 0, 0])
    expected = (np.log(probabilities.astype(float)) + shift).argmax(axis=-1)
    np.testing.assert_array_equal(found, expected)
    assert (found > 0).sum() != (most_probable(probabilities) > 0).sum()
    outside = np.eye(5, dtype=np.float32)[np.zeros((2, 2), int)]  # where a network is certain, it stays
    assert not most_probable(outside, operating_point=-800.0).any()
