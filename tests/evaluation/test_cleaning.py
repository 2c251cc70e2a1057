"""The thresholds chosen on validation, against scoring the cleaned volumes themselves."""

from dataclasses import fields
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from brats_cascade.commands.options import PredictOptions
from brats_cascade.evaluation.cleaning import choose_thresholds, mean_of, tally
from brats_cascade.evaluation.regions import score_case
from brats_cascade.inference.postprocess import OFF, Thresholds, all_thresholds, remove_components
from brats_cascade.labels import REGIONS
from brats_cascade.params import EvaluateParams, load_params
from brats_cascade.stages import evaluate

CANDIDATES = {
    "min_component": (0, 3, 40),
    "skull_distance": (0, 3),
    "flatness": (0.4,),
    "skull_volume": (500, 20),
    "inner_component": (0, 0.3, 4),
}


def case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    brain = np.zeros((16, 20, 18), bool)
    brain[1:-1, 1:-1, 1:-1] = True
    truth = np.zeros(brain.shape, np.uint8)
    truth[5:10, 6:13, 5:12] = 2
    truth[6:9, 8:11, 7:10] = 4
    found = truth.copy()
    found[1:2, 3:9, 3:9] = 2  # a plate at the edge
    found[2:7, 15:17, 14:16] = 3  # a blob of core, larger than the enhancing tumour, small as a component
    found[rng.random(brain.shape) < 0.01] = 1  # crumbs of core
    found[rng.random(brain.shape) < 0.01] = 4
    return found * brain, truth, brain


def test_every_rules_score_equals_that_of_the_cleaned_volume() -> None:
    found, truth, brain = case(0)
    counted = tally(found, truth=truth, brain=brain, spacing=(1, 1, 2))
    for thresholds in all_thresholds(CANDIDATES):
        scores = score_case(
            truth, remove_components(found, brain=brain, spacing=(1, 1, 2), thresholds=thresholds), spacing=(1, 1, 2)
        )
        assert counted.dice(thresholds) == pytest.approx({region: scores[f"{region}_dice"] for region in REGIONS})


@pytest.mark.parametrize("seed", range(6))
def test_scores_equal_those_of_volumes_cleaned_one_component_at_a_time(seed: int) -> None:
    """Sparse random labels on unequal voxels: many ties, empty regions, components that touch only at corners."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(3, 7, 3))
    chances = rng.dirichlet([6, *rng.choice([1e-9, 0.5, 1], 4)])
    truth, found = (rng.choice(5, shape, p=chances).astype(np.uint8) for _ in range(2))
    spacing = tuple(rng.choice([0.7, 1.0, 2.5], 3))
    brain = (rng.random(shape) < 0.9) | (found > 0)
    counted = tally(found, truth=truth, brain=brain, spacing=spacing)
    for least, inner in product((0, 0.4, 3), (0, 0.05, 0.5, 1, 2.5, 1000)):
        thresholds = Thresholds(least, inner_component=inner)
        expected = one_at_a_time(found, least=least, inner=inner, voxel=float(np.prod(spacing)))
        cleaned = remove_components(found, brain=brain, spacing=spacing, thresholds=thresholds)
        np.testing.assert_array_equal(cleaned, expected)
        scores = score_case(truth, expected, spacing=spacing)
        assert counted.dice(thresholds) == {region: scores[f"{region}_dice"] for region in REGIONS}


def one_at_a_time(labels: np.ndarray, *, least: float, inner: float, voxel: float) -> np.ndarray:
    """Post-processing written out: flood fill from voxel to voxel, and in each region only the first of the largest is safe."""
    labels = labels.copy()
    for members, smallest, label in (((1, 2, 3, 4), least, 0), ((1, 3, 4), inner, 2), ((4,), inner, 1)):
        waiting, components = set(zip(*np.isin(labels, members).nonzero(), strict=True)), []
        while waiting:
            component = [min(waiting)]
            waiting.remove(component[0])
            for slice_, row, column in component:
                near = {(slice_ + i, row + j, column + k) for i, j, k in product((-1, 0, 1), repeat=3)} & waiting
                component += near
                waiting -= near
            components.append(component)
        largest = max(components, key=len, default=[])
        limit = smallest * (len(largest) * voxel if smallest < 1 else 1)
        for component in components:
            if component is not largest and len(component) * voxel < limit:
                labels[tuple(np.transpose(component))] = label
    return labels


def test_the_best_rule_is_taken_and_both_scores_are_kept() -> None:
    cases = [case(seed) for seed in range(3)]
    tallies = [tally(found, truth=truth, brain=brain, spacing=(1, 1, 1)) for found, truth, brain in cases]
    combinations = all_thresholds(CANDIDATES)
    choice = choose_thresholds({0: tallies}, candidates=combinations)
    means = [np.mean([mean_of(one.dice(thresholds)) for one in tallies]) for thresholds in combinations]
    assert mean_of(choice.scores) == pytest.approx(max(means))
    assert choice.thresholds == combinations[int(np.argmax(means))]
    assert choice.thresholds.min_component == 40 or choice.thresholds.skull_distance == 3
    entry = choice.as_dict(cases=3)
    assert entry["dice"] > entry["dice_without"] == pytest.approx(np.mean([mean_of(one.dice(OFF)) for one in tallies]))
    assert entry["core"]["dice"] == choice.scores["core"]
    assert entry["rules_tried"] == len(combinations)


def test_where_nothing_helps_nothing_is_removed() -> None:
    found, truth, brain = case(0)
    counted = tally(truth, truth=truth, brain=brain, spacing=(1, 1, 1))
    assert (
        choose_thresholds({0: [counted]}, candidates=all_thresholds(CANDIDATES)).thresholds.as_dict() == OFF.as_dict()
    )
    empty = tally(np.zeros_like(found), truth=np.zeros_like(found), brain=brain, spacing=(1, 1, 1))
    assert empty.dice(Thresholds(min_component=9)) == {region: 1.0 for region in REGIONS}


def test_the_operating_point_is_chosen_together_with_the_thresholds() -> None:
    """Only with small components removed is the point better at which crumbs become tumour."""
    found, truth, brain = case(0)
    timid = np.where(truth == 4, 4, 0).astype(np.uint8)  # without the edema
    common = {"truth": truth, "brain": brain, "spacing": (1, 1, 1)}
    tallies = {0.0: [tally(timid, **common)], -1.5: [tally(found, **common)]}
    candidates = all_thresholds({"min_component": (0, 0.3), "operating_point": (0, -1.5)})
    choice = choose_thresholds(tallies, candidates=candidates)
    assert (choice.thresholds.operating_point, choice.thresholds.min_component) == (-1.5, 0.3)
    assert choice.scores == pytest.approx(tallies[-1.5][0].dice(Thresholds(0.3)))
    assert choice.without == pytest.approx(tallies[0.0][0].dice(OFF))
    bare = choose_thresholds({0.0: tallies[0.0]}, candidates=all_thresholds({"operating_point": (0,)}))
    assert bare.thresholds == OFF


def test_no_case_is_refused() -> None:
    with pytest.raises(ValueError, match="expected validation cases"):
        choose_thresholds({0: []}, candidates=[OFF])


def test_the_core_of_a_removed_component_is_not_the_largest_of_the_tally() -> None:
    labels = np.zeros((3, 12, 12), np.uint8)
    labels[:, :6, :6] = 2  # 108 voxels with a core of 4, the ground truth
    labels[1, 1:3, 1:3] = 1
    truth = labels.copy()
    labels[:, 9:, 9:] = 1  # 27 voxels, all core, which the outer rule removes
    counted = tally(labels, truth=truth, brain=np.ones(labels.shape, bool), spacing=(1, 1, 1))
    assert counted.dice(Thresholds(0.3, inner_component=0.5)) == {region: 1.0 for region in REGIONS}


def test_the_evaluate_stage_chooses_every_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {field.name for field in fields(Thresholds)}
    assert names <= set(EvaluateParams.model_fields) and names <= {field.name for field in fields(PredictOptions)}
    shipped = load_params(Path(__file__).parents[2] / "params.yaml").evaluate
    values = {name: (float(number + 1), float(number + 2)) for number, name in enumerate(sorted(names))}
    tried: list[Thresholds] = []

    def choose(tallies: dict, *, candidates: list[Thresholds]) -> SimpleNamespace:
        tried.extend(candidates)
        return SimpleNamespace(each=[])

    monkeypatch.setattr(evaluate, "choose_thresholds", choose)
    calibration = SimpleNamespace(fit=lambda: None)
    evaluate._choose([], segment=None, options=shipped.model_copy(update=values), calibration=calibration)
    assert len(tried) == 2 ** len(names)
    assert {name: tuple(sorted({getattr(one, name) for one in tried})) for name in names} == values
