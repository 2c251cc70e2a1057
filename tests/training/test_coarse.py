"""Training the coarse cascade: its windows, its refusals, and a short training from end to end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from settings import train_settings

from brats_cascade.data.grid import Cell, coarse_cells, slabs_of
from brats_cascade.errors import UserError
from brats_cascade.inference.coarse import predict_coarse
from brats_cascade.models.files import cnns_of, weights_digest
from brats_cascade.training.augment import Variation, vary_slabs
from brats_cascade.training.batches import TrainingData
from brats_cascade.training.coarse import cnn2_geometry, on_coarse_grid
from brats_cascade.training.experiment import Experiment, train_experiment
from brats_cascade.training.inputs import cut_inputs
from brats_cascade.training.tiles import TileSampler

CLASSES = (0, 1, 2, 3, 4)
VARIED = Variation(np.array([0.1, -0.2, 0.3, 0.05], np.float32), np.array([0.2, -0.1, 0.1, 0.3], np.float32), True)


def test_slabs_of_varied_intensities_are_varied_slabs(make_case) -> None:
    case = make_case("a")
    image = np.where(case.brain[..., None], case.image * np.exp(VARIED.scale) + VARIED.shift, 0).astype(np.float32)
    cell = Cell.of((1, 1, 1))
    before, expected = (slabs_of(coarse_cells(of, brain=case.brain, cell=cell))[0] for of in (case.image, image))
    found = vary_slabs(before.reshape(*before.shape[:2], -1), variation=VARIED)
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-5)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.75, 2.75, 2.75), (3.0, 1.0, 2.1)])
def test_a_flipped_tile_is_that_of_the_mirrored_case(make_case, spacing) -> None:
    case = replace(make_case("a", shape=(4, 40, 48)), spacing=spacing)
    maps = np.random.default_rng(0).random(
        (*(-(-n // s) for n, s in zip((4, 40, 48), Cell.of(spacing), strict=True)), 5)
    )
    case, geometry = replace(case, maps=maps), cnn2_geometry([case])
    mirrored = replace(case, image=case.image[:, :, ::-1], maps=maps[:, :, ::-1])
    common = {"layer": 2, "top": 4 * geometry.step[0], "size": 12, "geometry": geometry}
    plain = cut_inputs(mirrored, left=48 - 12 - 12, variation=replace(VARIED, flipped=False), **common)
    for one, other in zip(cut_inputs(case, left=12, variation=VARIED, **common), plain, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_tiles_begin_on_the_grid(make_case, draw_centres) -> None:
    case = make_case("a", shape=(4, 45, 51))
    case = replace(case, maps=np.zeros((2, 23, 26, 5), np.float16))
    geometry, settings = cnn2_geometry([case]), train_settings(tile=11, batch=8, intensity=0.0, flip=False)
    centres = draw_centres([case], count=50)
    batch = TileSampler(
        [case], centres=centres, classes=CLASSES, geometry=geometry, weights=None, settings=settings, seed=3
    ).batch(0)
    assert [part.shape for part in batch.inputs] == [(8, 48, 48, 4), (8, 24, 24, 17)]
    assert batch.targets.shape == (8, 12, 12)
    pooled = batch.inputs[0].reshape(8, 24, 2, 24, 2, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(batch.inputs[1][..., :4], pooled, atol=1e-5)
    found = {tuple(tile[19:29, 19:29].ravel()) for tile in batch.inputs[0]}
    padded = np.pad(case.image, ((0, 0), (18, 30), (18, 30), (0, 0)))
    aligned = {
        tuple(padded[layer, top + 19 : top + 29, left + 19 : left + 29].ravel())
        for layer in range(4) for top in range(0, 46, 2) for left in range(0, 52, 2)
    }  # fmt: skip
    assert found <= aligned


def test_cases_of_different_pixels_are_refused(make_case) -> None:
    cases = [make_case("a"), replace(make_case("b"), spacing=(1.0, 0.5, 0.5))]
    with pytest.raises(UserError, match=r"found 1 x 1 mm \(a\) and 0.5 x 0.5 mm \(b\)"):
        cnn2_geometry(cases)


def test_centres_become_their_cells(cohort, draw_centres) -> None:
    cases = [cohort[0], replace(cohort[1], spacing=(2.0, 1.0, 0.5))]
    table = draw_centres(cases, count=60)
    data = on_coarse_grid(TrainingData(cases, [], {"phase1": table}, CLASSES))
    steps = {"a": (2, 2, 2), "b": (1, 2, 4)}
    for before, after in zip(table.itertuples(), data.patch_sets["phase1"].itertuples(), strict=True):
        expected = [value // step for value, step in zip(before[1:4], steps[before.case], strict=True)]
        assert [after.slice, after.row, after.column] == expected
    assert data.train[1].image.shape == (4, 20, 11, 5, 5) and data.train[1].labels.shape == (4, 20, 11)


@pytest.mark.slow
def test_it_learns_on_maps_that_its_inner_folds_make(cohort, draw_centres, tmp_path: Path) -> None:
    cases, spacing = cohort, (1.0, 1.0, 1.0)
    sets = {name: draw_centres(cases, count=300, equal=True) for name in ("phase1", "phase2")}
    settings = train_settings(
        width=0.25, steps=40, phase2_steps=0, checks=1, tile=16, batch=4, class_weights="none", learning_rate=0.01,
        procedure="single", cnn1_folds=2,
    )  # fmt: skip
    data = TrainingData(cases, cases[:1], sets, CLASSES)
    trained = train_experiment(Experiment("coarse_cascade", data, settings), folder=tmp_path)
    assert trained.cnn1 is None and len(trained.inner) == 2
    *cnn1s, _ = cnns_of(trained.network)
    for own, inner in zip(cnn1s, trained.inner, strict=True):  # its CNN 1 is their mean
        assert weights_digest(own) == weights_digest(inner.network)
        assert 40 * 4 * 8**2 / 2 < inner.progress.pixels <= 40 * 4 * 8**2  # its tiles have half as many cells as pixels
    [row] = trained.progress.history
    assert row["validation_complete"] > 0.7
    maps = [path for path in (tmp_path / "cnn1_maps").rglob("*.npz")]
    assert len(maps) == 3 and max(path.stat().st_size for path in maps) < 2**20
    case = cases[0]
    found = predict_coarse(trained.network, image=case.image, brain=case.brain, spacing=spacing).argmax(axis=-1) > 0
    true = case.labels > 0
    dice = 2 * (found & true).sum() / (found.sum() + true.sum())
    assert dice == pytest.approx(row["validation_complete"], abs=0.02)  # maps are stored in 8 bits
    assert (found == true)[case.brain].mean() > 0.9
