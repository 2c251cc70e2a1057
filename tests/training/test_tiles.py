"""The tile sampler against naive cutting."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from settings import train_settings

from brats_cascade.labels import class_lookup
from brats_cascade.models.cascade import CNN2, GEOMETRY, PAPERS
from brats_cascade.training.augment import Variation
from brats_cascade.training.class_weights import case_weights
from brats_cascade.training.inputs import cut_inputs
from brats_cascade.training.tiles import TileSampler

CLASSES = (0, 1, 2, 3, 4)


def _sampler(cases, centres: pd.DataFrame, **changes) -> TileSampler:
    given = {name: changes.pop(name, default) for name, default in (("weights", None), ("seed", 5))}
    settings = train_settings(**{"tile": 12, "batch": 3, "flip": False, "intensity": 0.0, **changes})
    return TileSampler(cases, centres=centres, classes=CLASSES, geometry=CNN2, settings=settings, **given)


def _numbered(case):
    """The same case with an image that names its own places, and maps likewise; 0 stays for outside."""
    layers, rows, columns = case.brain.shape
    places = np.indices(case.brain.shape).transpose(1, 2, 3, 0).astype(np.float32) + 1
    image = np.concatenate([places, np.ones_like(places[..., :1])], axis=-1)
    wide = np.indices((layers, rows + 32, columns + 32)).transpose(1, 2, 3, 0).astype(np.float32)
    wide += np.float32([1, -15, -15])
    return replace(case, image=image, maps=wide)


def _naive_tile(plane: np.ndarray, *, top: int, left: int, rows: int, columns: int) -> np.ndarray:
    tile = np.zeros((rows, columns, *plane.shape[2:]), plane.dtype)
    for row in range(rows):
        for column in range(columns):
            if 0 <= top + row < plane.shape[0] and 0 <= left + column < plane.shape[1]:
                tile[row, column] = plane[top + row, left + column]
    return tile


def test_a_tile_is_what_naive_cutting_gives(cohort, draw_centres) -> None:
    cases = [_numbered(case) for case in cohort]
    centres = draw_centres(cohort, count=50)
    sampler = _sampler([replace(case, maps=None) for case in cases], centres)
    lookup = class_lookup(CLASSES)
    batch = sampler.batch(3)
    assert batch.inputs[0].shape == (3, 12 + 32, 12 + 32, 4)
    for image, target, weight in zip(batch.inputs[0], batch.targets, batch.weights, strict=True):
        inner = image[16:-16, 16:-16]
        layer, top, left = (inner[0, 0, :3] - 1).astype(int)
        found = [
            case
            for case in cases
            if np.array_equal(lookup[case.labels[layer, top : top + 12, left : left + 12]], target)
        ]
        assert found, "the targets are those of no case at this place"
        case = found[0]
        np.testing.assert_array_equal(
            image, _naive_tile(case.image[layer], top=top - 16, left=left - 16, rows=44, columns=44)
        )
        np.testing.assert_array_equal(weight, case.brain[layer, top : top + 12, left : left + 12])


def test_every_tile_holds_its_centre_and_lies_in_the_slice(cohort, draw_centres) -> None:
    cases = [replace(_numbered(case), maps=None) for case in cohort[:1]]
    for row in draw_centres(cohort[:1], count=12).itertuples():
        centre = pd.DataFrame([{"case": "a", "slice": row.slice, "row": row.row, "column": row.column}])
        for image in _sampler(cases, centre, batch=4).batch(0).inputs[0]:
            layer, top, left = (image[16, 16, :3] - 1).astype(int)
            assert layer == row.slice
            assert top <= row.row < top + 12 and left <= row.column < left + 12
            assert 0 <= top <= 40 - 12 and 0 <= left <= 44 - 12


def test_weights_are_zero_outside_the_brain_and_the_slices_inside(cohort, draw_centres) -> None:
    table, _ = case_weights(cohort, classes=CLASSES, scheme="slice", power=1.0)
    cases = [replace(_numbered(case), maps=None) for case in cohort]
    sampler = _sampler(cases, draw_centres(cohort, count=200), weights=table, tile=30, batch=8)
    batch = sampler.batch(0)
    outside = 0
    for image, target, weight in zip(batch.inputs[0], batch.targets, batch.weights, strict=True):
        layer, top, left = (image[16, 16, :3] - 1).astype(int)
        window = slice(top, top + 30), slice(left, left + 30)
        own = [case for case in cohort if np.array_equal(case.labels[layer][window], target)]
        brain = own[0].brain[layer][window]
        outside += int((~brain).sum())
        assert (weight[~brain] == 0).all()
        np.testing.assert_allclose(weight[brain], table[own[0].name][layer][target[brain]], rtol=1e-6)
    assert outside > 0


def test_a_batch_depends_on_its_step_and_the_seed_alone(cohort, draw_centres) -> None:
    centres = draw_centres(cohort, count=80)
    first, second = (_sampler(cohort, centres, flip=True, intensity=0.2) for _ in range(2))
    for step in range(5):
        first.batch(step)
    for one, other in zip([first.batch(7)], [second.batch(7)], strict=True):
        np.testing.assert_array_equal(one.inputs[0], other.inputs[0])
        np.testing.assert_array_equal(one.targets, other.targets)
        np.testing.assert_array_equal(one.weights, other.weights)
    changed = _sampler(cohort, centres, flip=True, intensity=0.2, seed=6).batch(7)
    assert not np.array_equal(changed.inputs[0], first.batch(7).inputs[0])
    assert not np.array_equal(first.batch(8).inputs[0], first.batch(7).inputs[0])


@pytest.mark.parametrize("architecture", PAPERS)
@pytest.mark.parametrize("joint", [False, True])
def test_a_flip_equals_cutting_from_the_flipped_slice(cohort, architecture: str, joint: bool) -> None:
    """Image and maps of a flipped window are those of the mirrored window in the mirrored case."""
    case = _numbered(cohort[0])
    geometry = GEOMETRY[architecture] if joint else replace(CNN2, joined=GEOMETRY[architecture].joined)
    if joint or not geometry.joined:
        case = replace(case, maps=None)
    mirrored = replace(case, image=case.image[:, :, ::-1], maps=None if case.maps is None else case.maps[:, :, ::-1])
    columns, size, left = case.brain.shape[2], 10, 3
    common = {"layer": 2, "top": 4, "size": size, "geometry": geometry}
    flipped = cut_inputs(case, left=left, variation=Variation(None, None, True), **common)
    expected = cut_inputs(mirrored, left=columns - left - size, variation=Variation(None, None, False), **common)
    assert len(flipped) == (1 if case.maps is None else 2)
    for one, other in zip(flipped, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_flips_keep_image_and_labels_together(cohort, draw_centres) -> None:
    """Where the image is bright in channel 0 the label is tumour, flipped or not."""
    sampler = _sampler(cohort, draw_centres(cohort, count=100, equal=True), flip=True, tile=20, batch=16)
    plain = _sampler(cohort, draw_centres(cohort, count=100, equal=True), flip=False, tile=20, batch=16)
    batch, unflipped = sampler.batch(0), plain.batch(0)
    changed = [not np.array_equal(a, b) for a, b in zip(batch.targets, unflipped.targets, strict=True)]
    assert any(changed) and not all(changed)
    bright = batch.inputs[0][:, 16:-16, 16:-16, 0] > 1.1
    assert (bright == (batch.targets > 0)).mean() > 0.98
    np.testing.assert_array_equal(batch.inputs[0][:, 16:-16, 16:-16].any(axis=-1), batch.weights > 0)


def test_intensities_change_inside_the_brain_only(cohort, draw_centres) -> None:
    centres = draw_centres(cohort, count=40)
    plain, varied = (_sampler(cohort, centres, intensity=value, batch=1).batch(1).inputs[0] for value in (0.0, 0.3))
    inside = plain.any(axis=-1)
    assert (varied[~inside] == 0).all() and (~inside).any()
    for before, after, mask in zip(plain, varied, inside, strict=True):
        for channel in range(4):
            scale, shift = np.polyfit(before[mask][:, channel], after[mask][:, channel], 1)
            assert scale > 0 and abs(scale - 1) > 1e-3
            np.testing.assert_allclose(after[mask][:, channel], before[mask][:, channel] * scale + shift, atol=1e-4)


def test_loss_on_centres_counts_the_rows_of_the_patch_set_only(cohort, draw_centres) -> None:
    centres = draw_centres(cohort, count=150)
    cases = [replace(_numbered(case), maps=None) for case in cohort]
    every, some = (_sampler(cases, centres, loss_on=name, batch=6).batch(2) for name in ("brain", "centres"))
    np.testing.assert_array_equal(every.inputs[0], some.inputs[0])
    assert (some.weights.sum(axis=(1, 2)) >= 1).all()
    known = set(zip(centres["slice"], centres["row"], centres["column"], strict=True))
    for image, weight in zip(some.inputs[0], some.weights, strict=True):
        layer, top, left = (image[16, 16, :3] - 1).astype(int)
        for row, column in np.argwhere(weight > 0):
            assert (layer, top + row, left + column) in known


def test_label_masses_are_what_the_loss_sees(cohort, draw_centres) -> None:
    sampler = _sampler(cohort, draw_centres(cohort, count=300), batch=2)
    total = np.zeros(5)
    for step in range(64):
        batch = sampler.batch(step)
        for label in range(5):
            total[label] += batch.weights[batch.targets == label].sum()
    expected = np.maximum(total / total.sum(), 1e-6)
    np.testing.assert_allclose(sampler.label_masses(), expected, rtol=1e-6)
    assert expected[1] == 1e-6 and expected[0] > 0.5
