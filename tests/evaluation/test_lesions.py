"""Lesion-wise scores and surface Dice against the challenge's own code, whose scores of the same shapes are kept in data."""

import json
from pathlib import Path

import numpy as np
import pytest
from lesion_shapes import shapes

from brats_cascade.evaluation.lesions import LESION_SCORES, score_lesion_masks, score_lesions
from brats_cascade.labels import REGIONS

KEPT = json.loads((Path(__file__).parent / "data/lesion_scores.json").read_text(encoding="utf-8"))["scores"]
SHAPES = shapes()


@pytest.mark.parametrize("name", KEPT)
def test_scores_are_those_of_the_challenges_code(name: str) -> None:
    shape = SHAPES[name]
    scores = score_lesions(shape.truth, shape.prediction, spacing=shape.spacing)
    assert set(scores) == {f"{region}_{score}" for region in REGIONS for score in LESION_SCORES}
    kept = {f"{region}_{key}": value for region, row in KEPT[name].items() for key, value in row.items()}
    assert scores == pytest.approx({key: kept[key] for key in scores}, abs=1e-9)
    # Surface Dice against that of a triangle mesh. Where two voxels of four touch at an edge alone, two meshes are possible;
    # only the speckled shapes are full of these.
    apart = 0.03 if name.startswith("scattered") else 1e-6
    for region, row in KEPT[name].items():
        assert scores[f"{region}_nsd"] == pytest.approx(row["nsd_mesh"], abs=apart)


def test_every_shape_is_in_the_table_and_the_table_tries_every_rule() -> None:
    assert set(SHAPES) == set(KEPT) and len(KEPT) >= 12
    rows = [row for regions in KEPT.values() for row in regions.values()]
    assert {row["lesions_missed"] > 0 for row in rows} == {row["lesions_false"] > 0 for row in rows} == {True, False}
    assert any(row["lesions"] == row["lesions_false"] == 0 for row in rows)


def test_a_lesion_counts_from_more_than_50_mm3_whatever_the_voxels() -> None:
    truth = np.zeros((12, 12, 12), bool)
    truth[4:6, 4:9, 4:9] = True  # 50 voxels
    nothing = np.zeros_like(truth)
    assert score_lesion_masks(truth, nothing, spacing=(1, 1, 1))["lesions"] == 0
    assert score_lesion_masks(truth, nothing, spacing=(1, 1, 1.1))["lesions"] == 1
    truth[6, 4, 4] = True
    assert score_lesion_masks(truth, nothing, spacing=(1, 1, 1))["lesions_missed"] == 1


def test_surface_dice_takes_distances_in_mm() -> None:
    truth, prediction = (np.zeros((20, 20, 20), bool) for _ in range(2))
    truth[5:15, 5:15, 5:15] = True
    prediction[6:14, 6:14, 6:14] = True  # every side one voxel inside
    assert score_lesion_masks(truth, prediction, spacing=(1, 1, 1))["nsd"] == pytest.approx(1, abs=0.2)
    assert score_lesion_masks(truth, prediction, spacing=(1.1, 1.1, 1.1))["nsd"] == 0
