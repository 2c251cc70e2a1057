"""The patch sampler: its order, its content, and the same objective as tiles."""

import sys

import keras
import numpy as np
import pandas as pd
import pytest
from settings import train_settings

from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import CNN2, GEOMETRY, PAPERS, score_model
from brats_cascade.models.two_path import Style
from brats_cascade.training.batches import prefetch
from brats_cascade.training.class_weights import case_weights
from brats_cascade.training.patches import PatchSampler
from brats_cascade.training.tiles import TileSampler

CLASSES = (0, 1, 2, 3, 4)


def _sampler(cases, centres: pd.DataFrame, **changes) -> PatchSampler:
    given = {name: changes.pop(name, default) for name, default in (("weights", None), ("seed", 5))}
    settings = train_settings(**{"batch": 7, "flip": False, "intensity": 0.0, **changes})
    return PatchSampler(cases, centres=centres, classes=CLASSES, geometry=CNN2, settings=settings, **given)


def test_a_patch_is_centred_on_its_pixel(cohort, draw_centres) -> None:
    centres = draw_centres(cohort, count=20)
    table, _ = case_weights(cohort, classes=CLASSES, scheme="slice", power=1.0)
    sampler = _sampler(cohort, centres, weights=table)
    batch = sampler.batch(1)
    assert batch.inputs[0].shape == (7, 33, 33, 4)
    cases = {case.name: case for case in cohort}
    for number, row in enumerate(centres.iloc[sampler.rows(1)].itertuples()):
        case = cases[row.case]
        padded = np.pad(case.image[row.slice], ((16, 16), (16, 16), (0, 0)))
        np.testing.assert_array_equal(
            batch.inputs[0][number], padded[row.row : row.row + 33, row.column : row.column + 33]
        )
        label = case.labels[row.slice, row.row, row.column]
        assert batch.targets[number] == label
        np.testing.assert_allclose(batch.weights[number], table[row.case][row.slice][label], rtol=1e-6)


def test_a_pass_takes_every_patch_once_in_a_new_order(cohort, draw_centres) -> None:
    sampler = _sampler(cohort, draw_centres(cohort, count=31))
    passes = [np.concatenate([sampler.rows(step) for step in range(turn * 5, turn * 5 + 5)]) for turn in range(2)]
    for rows in passes:
        assert sorted(rows) == list(range(31))
    assert list(passes[0]) != list(passes[1])
    assert [len(sampler.rows(step)) for step in range(5)] == [7, 7, 7, 7, 3]


def test_slices_come_one_at_a_time_for_so_many_passes(cohort, draw_centres) -> None:
    """The earlier work's order: all mini-batches of a slice, five times over, then the next slice."""
    centres = draw_centres(cohort, count=90)
    sampler = _sampler(cohort, centres, patch_order="slices", slice_epochs=3)
    ordered = centres.sort_values(["case", "slice"], kind="stable").reset_index(drop=True)
    step = 0
    for (name, layer), part in ordered.groupby(["case", "slice"]):
        for _ in range(3):
            seen: list[int] = []
            while len(seen) < len(part):
                rows = sampler.rows(step)
                own = ordered.iloc[rows]
                assert set(own["case"]) == {name} and set(own["slice"]) == {layer}
                assert len(rows) <= 7
                seen += list(rows)
                step += 1
            assert sorted(seen) == list(part.index)
    first = ordered.iloc[sampler.rows(step)]  # then from the start again
    assert set(first["case"]) == {"a"} and set(first["slice"]) == {ordered["slice"].iloc[0]}


def test_a_batch_depends_on_its_step_and_the_seed_alone(cohort, draw_centres) -> None:
    centres = draw_centres(cohort, count=40)
    for order in ("random", "slices"):
        first, second = (_sampler(cohort, centres, patch_order=order, flip=True, intensity=0.1) for _ in range(2))
        for step in range(12):
            first.batch(step)
        np.testing.assert_array_equal(first.batch(9).inputs[0], second.batch(9).inputs[0])
        np.testing.assert_array_equal(first.batch(9).targets, second.batch(9).targets)


def test_threads_get_the_batches_that_one_gets_in_order(cohort, draw_centres) -> None:
    """Three threads ask for steps of several passes at once; none sees another pass's order."""
    sampler = _sampler(cohort, draw_centres(cohort, count=9))
    expected = [sampler.rows(step) for step in range(600)]
    found, interval = [], sys.getswitchinterval()

    class Rows:
        def batch(self, step):
            return sampler.rows(step)

    sys.setswitchinterval(1e-6)
    try:
        found = list(prefetch(Rows(), first=0, last=600, threads=3))
    finally:
        sys.setswitchinterval(interval)
    assert [step for step, _ in found] == list(range(600))
    for (_, rows), wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows, wanted)


def test_label_masses_are_those_of_the_whole_set(cohort, draw_centres) -> None:
    centres = draw_centres(cohort, count=60, equal=True)
    table, _ = case_weights(cohort, classes=CLASSES, scheme="cohort", power=1.0)
    counts = centres["label"].value_counts()
    weight = {label: np.nanmax([table[case.name][:, label] for case in cohort]) for label in counts.index}
    total = sum(counts[label] * weight[label] for label in counts.index)
    masses = _sampler(cohort, centres, weights=table).label_masses()
    for label in CLASSES:
        expected = counts[label] * weight[label] / total if label in counts.index else 1e-6
        assert masses[label] == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", PAPERS)
def test_patches_and_a_tile_masked_to_their_centres_have_equal_gradients(
    cohort, draw_centres, architecture: str
) -> None:
    """The same centres as cut patches and as the only labelled pixels of one tile: same loss, same gradients."""
    geometry, case = GEOMETRY[architecture], cohort[0]
    centres = draw_centres([case], count=250)
    table, _ = case_weights([case], classes=CLASSES, scheme="slice", power=1.0)
    common = {"classes": CLASSES, "geometry": geometry, "weights": table}
    settings = train_settings(flip=False, intensity=0.0, tile=14, batch=1, loss_on="centres")
    tiles = TileSampler([case], centres=centres, settings=settings, seed=3, **common)
    tile = tiles.batch(0)
    inside = _centres_of(tile, case=case, geometry=geometry, centres=centres)
    assert len(inside) > 8 and len(set(tile.targets[tile.weights > 0])) > 1
    settings = settings.model_copy(update={"batch": len(inside)})
    patches = PatchSampler([case], centres=inside, settings=settings, seed=4, **common).batch(0)
    assert patches.inputs[0].shape == (len(inside), geometry.patch, geometry.patch, 4)
    network = build_model(architecture, style=Style(width=0.05, normalisation="none"))
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.05, weight.shape) for weight in network.get_weights()])
    (loss, moved), (expected_loss, expected) = (_descend(network, batch) for batch in (patches, tile))
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for one, other in zip(moved, expected, strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(other).max() + 1e-7)


def _centres_of(tile, *, case, geometry, centres: pd.DataFrame) -> pd.DataFrame:
    """The rows of the patch set that carry weight in a tile, found by the tile's pixels."""
    size = tile.targets.shape[1]
    inner = tile.inputs[0][0, geometry.before :, geometry.before :][:size, :size]
    for layer in sorted(set(centres["slice"])):
        for top in range(case.brain.shape[1] - size + 1):
            for left in range(case.brain.shape[2] - size + 1):
                if np.array_equal(case.image[layer, top : top + size, left : left + size], inner):
                    rows, columns = centres["row"] - top, centres["column"] - left
                    here = (centres["slice"] == layer) & rows.between(0, size - 1) & columns.between(0, size - 1)
                    assert here.sum() == np.count_nonzero(tile.weights)
                    return centres[here]
    raise AssertionError("the tile is nowhere in the case")


def _descend(network: keras.Model, batch) -> tuple[float, list[np.ndarray]]:
    """The loss of a batch, and its gradients: what one step of plain descent at rate 1 takes off the weights."""
    start = network.get_weights()
    trainer = score_model(network)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    trainer.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss)
    value = trainer.train_on_batch(batch.inputs[0], batch.targets[..., None], sample_weight=batch.weights)
    gradients = [before - after for before, after in zip(start, network.get_weights(), strict=True)]
    network.set_weights(start)
    return float(value), gradients
