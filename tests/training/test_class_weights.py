"""Class weights against scikit-learn's balanced weights on the same labels."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from brats_cascade.training.class_weights import balanced_weights, case_weights, slice_counts, weight_table

CLASSES = (0, 1, 2, 3, 4)


def _expected(labels: np.ndarray) -> np.ndarray:
    """scikit-learn's weights over the labels that occur, NaN for the others."""
    present = np.unique(labels)
    weights = np.full(5, np.nan)
    weights[present] = compute_class_weight("balanced", classes=present, y=labels)
    return weights


def test_slice_weights_are_scikit_learns(cohort) -> None:
    table, frame = case_weights(cohort, classes=CLASSES, scheme="slice", power=1.0)
    for case in cohort:
        assert np.isnan(table[case.name][0]).all()  # no brain there
        for layer in range(1, len(case.brain)):
            own = case.labels[layer][case.brain[layer]]
            np.testing.assert_allclose(table[case.name][layer], _expected(own), rtol=1e-12)
            row = frame[(frame["case"] == case.name) & (frame["slice"] == layer)]
            np.testing.assert_array_equal(
                row[[f"weight_{label}" for label in CLASSES]].to_numpy()[0], table[case.name][layer]
            )
    assert frame.index.tolist() == list(range(sum(len(case.brain) for case in cohort)))


def test_cohort_weights_are_scikit_learns_over_all_slices(cohort) -> None:
    table, _ = case_weights(cohort, classes=CLASSES, scheme="cohort", power=1.0)
    expected = _expected(np.concatenate([case.labels[case.brain] for case in cohort]))
    for case in cohort:
        for layer in range(1, len(case.brain)):
            present = np.isin(CLASSES, case.labels[layer][case.brain[layer]])
            np.testing.assert_allclose(table[case.name][layer][present], expected[present], rtol=1e-12)
            assert np.isnan(table[case.name][layer][~present]).all()


def test_no_weights_are_one_for_every_class_that_occurs(cohort) -> None:
    counts = slice_counts(cohort[0].labels, inside=cohort[0].brain, classes=CLASSES)
    table = weight_table(counts, scheme="none")
    np.testing.assert_array_equal(np.isnan(table), counts == 0)
    assert (table[counts > 0] == 1).all()


def test_a_power_between_none_and_balanced() -> None:
    counts = np.array([90, 10, 0])
    np.testing.assert_allclose(balanced_weights(counts, power=0.5)[:2], [np.sqrt(100 / 180), np.sqrt(100 / 20)])
    np.testing.assert_array_equal(balanced_weights(counts, power=0)[:2], [1, 1])
    assert np.isnan(balanced_weights(counts)[2])


def test_the_power_counts_in_every_scheme_and_is_1_unless_given(cohort) -> None:
    for scheme in ("slice", "cohort"):
        whole, root = (
            case_weights(cohort, classes=CLASSES, scheme=scheme, power=power)[0]["a"] for power in (1.0, 0.5)
        )
        np.testing.assert_allclose(root, np.sqrt(whole))
        assert np.nanmax(whole) > 1.5  # so that a power makes a difference
    counts = np.array([[90, 10], [30, 50]])
    np.testing.assert_allclose(weight_table(counts, scheme="slice"), [[100 / 180, 100 / 20], [80 / 60, 80 / 100]])
    np.testing.assert_allclose(weight_table(counts, scheme="cohort"), [[180 / 240, 180 / 120]] * 2)


def test_a_class_of_one_pixel_occurs() -> None:
    counts = np.array([[9, 1, 0]])
    np.testing.assert_allclose(balanced_weights(counts), [[10 / 18, 10 / 2, np.nan]])
    np.testing.assert_allclose(weight_table(counts, scheme="cohort"), [[10 / 18, 10 / 2, np.nan]])
    np.testing.assert_array_equal(weight_table(counts, scheme="none"), [[1, 1, np.nan]])
    assert balanced_weights(counts.astype(np.float32)).dtype == np.float64


def test_balanced_weights_give_every_class_the_same_mass() -> None:
    counts = np.array([[1000, 7, 13, 0, 2]])
    masses = np.nan_to_num(balanced_weights(counts) * counts)[0]
    np.testing.assert_allclose(masses[masses > 0], counts.sum() / 4)


def test_merged_labels_count_together(make_case) -> None:
    case = make_case("a", seed=3)
    case.labels[1, 18:20, 20:22] = 3
    counts_of_necrosis = int((case.labels[1][case.brain[1]] == 3).sum())
    table, frame = case_weights([case], classes=(0, 1, 2, 4), scheme="slice", power=1.0)
    assert list(frame.columns[:4]) == ["weight_0", "weight_1", "weight_2", "weight_4"]
    own = case.labels[1][case.brain[1]]
    assert table["a"][1][1] == pytest.approx(len(own) / (4 * counts_of_necrosis))


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(ValueError, match="'slice', 'cohort' or 'none', received 'global'"):
        weight_table(np.ones((1, 2)), scheme="global")
