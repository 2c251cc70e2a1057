import numpy as np
import pytest

from brats_cascade.data.store import StoredCase
from brats_cascade.evaluation.baseline import baseline_summary, fit_threshold, score_threshold
from brats_cascade.evaluation.regions import score_case


def case(name, *, seed, contrast, channel, shape=(6, 14, 15)):
    """A cube of tumour that one modality shows; the others are noise."""
    generator = np.random.default_rng(seed)
    brain = np.zeros(shape, bool)
    brain[:, 1:-1, 1:-1] = True
    labels = np.zeros(shape, np.uint8)
    labels[1:4, 3:8, 3:8] = 2
    image = generator.normal(size=(*shape, 4)).astype(np.float32)
    image[..., channel] += contrast * (labels > 0)
    image[~brain] = 0
    return StoredCase(name, image, brain, labels, {"spacing": (1.0, 1.0, 1.0)})


def naive_dice(threshold, one):
    channel = one.image[..., ("flair", "t1", "t1c", "t2").index(threshold.modality)]
    found = (channel > threshold.value) if threshold.side == "above" else (channel < threshold.value)
    found &= one.brain
    return score_case(one.labels, found.astype(np.uint8) * 2, spacing=(1, 1, 1))["complete_dice"]


@pytest.mark.parametrize(("contrast", "channel", "expected"), [(4.0, 3, ("t2", "above")), (-4.0, 1, ("t1", "below"))])
def test_it_finds_the_modality_and_the_side_that_show_the_tumour(contrast, channel, expected):
    train = [case(f"t{i}", seed=i, contrast=contrast, channel=channel) for i in range(3)]
    threshold = fit_threshold(train)
    assert (threshold.modality, threshold.side) == expected
    assert 1.0 < abs(threshold.value) < 3.5
    assert threshold.training_dice == pytest.approx(np.mean([naive_dice(threshold, one) for one in train]), abs=1e-9)
    assert threshold.training_dice > 0.8


def test_unseen_cases_are_scored_as_any_segmentation_is():
    train = [case("t", seed=0, contrast=4.0, channel=0)]
    unseen = [case(f"u{i}", seed=10 + i, contrast=3.0, channel=0) for i in range(2)]
    threshold = fit_threshold(train)
    scores = score_threshold(threshold, cases=unseen)
    assert scores["case"].tolist() == ["u0", "u1"]
    assert scores["complete_dice"].tolist() == pytest.approx([naive_dice(threshold, one) for one in unseen])
    summary = baseline_summary(threshold, scores=scores)
    assert summary["complete"]["dice"] == pytest.approx(scores["complete_dice"].mean())
    assert summary["rule"].startswith("flair above +")
    assert "specificity" not in summary["complete"]


def test_truth_outside_the_box_is_missed():
    threshold, one = (
        fit_threshold([case("t", seed=0, contrast=4.0, channel=0)]),
        case("u", seed=1, contrast=4.0, channel=0),
    )
    (inside,) = score_threshold(threshold, cases=[one]).to_dict("records")
    one.meta["truth_outside_box"] = {"1": 20, "2": 30, "3": 0, "4": 0}
    (scores,) = score_threshold(threshold, cases=[one]).to_dict("records")
    hits = inside["complete_sensitivity"] * 75
    assert scores["complete_sensitivity"] == pytest.approx(hits / 125)
    assert scores["complete_dice"] == pytest.approx(2 * hits / (125 + hits / inside["complete_ppv"]))
    assert fit_threshold([one]).training_dice == pytest.approx(
        score_threshold(fit_threshold([one]), cases=[one])["complete_dice"].item()
    )
