import json

import numpy as np
import pandas as pd
import pytest
from layouts import LAYOUTS, tiny_volumes, write_layout

from brats_cascade import MODALITIES
from brats_cascade.data.cases import find_cases
from brats_cascade.data.checks import mixed_labels
from brats_cascade.data.fingerprint import PAPER_SHARES, fingerprint
from brats_cascade.data.ingest import survey
from brats_cascade.labels import SCHEMES, recode

CHOSEN = ("brats2013", "brats2017", "brats2023")


@pytest.fixture
def cohort(tmp_path):
    """Three cases of two label kinds and two shapes; their table, volumes and canonical (merged) labels."""
    volumes = {}
    for seed, layout in enumerate(CHOSEN):
        images, labels = tiny_volumes(seed=seed, shape=(12, 14, 10 + 2 * (layout == "brats2023")))
        write_layout(tmp_path, layout, images=images, labels=labels)
        scheme = SCHEMES[LAYOUTS[layout][1]]
        volumes[layout] = images, recode(recode(labels, table=scheme.from_canonical), table=scheme.to_canonical)
    return survey(find_cases(tmp_path), workers=1), volumes


def test_numbers_are_those_of_the_voxels(cohort):
    table, volumes = cohort
    found = fingerprint(table)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["cases"], found["patients"]) == (3, 3)
    assert {name: entry["cases"] for name, entry in found["releases"].items()} == {
        **{"brats2013": 1, "brats2017": 1, "brats2023": 1}
    }
    assert found["releases"]["brats2013"] == {
        **{"cases": 1, "patients": 1, "grades": {"low": 1}, "schemes": ["five"], "shapes": {"10x14x12": 1}}
    }
    assert found["shapes"] == {"10x14x12": 2, "12x14x12": 1}
    assert found["spacings"] == {"1x1x1": 3}
    for modality in MODALITIES:
        medians = [
            np.median(images[modality][np.any([volume != 0 for volume in images.values()], axis=0)])
            for images, _ in volumes.values()
        ]
        expected = {"min": min(medians), "median": sorted(medians)[1], "max": max(medians)}
        assert found["intensities"][modality]["p50"] == pytest.approx(expected)
    labels = np.concatenate([labels.ravel() for _, labels in volumes.values()])
    counts = np.bincount(labels, minlength=5)
    assert found["labels"]["voxels"] == labels.size
    assert found["labels"]["cases_with_merged_labels"] == 2
    for row, count in zip(found["labels"]["table"], counts, strict=True):
        assert row["voxels"] == count and row["share"] == pytest.approx(count / labels.size)
        assert row["paper"] == PAPER_SHARES[row["label"]]
        if row["label"]:
            assert row["share_of_tumour"] == pytest.approx(count / counts[1:].sum())
    assert found["labels"]["table"][3]["cases"] == 1  # only the five-label case knows non-enhancing tumour


def test_the_papers_shares():
    # 98 / 0.18 / 1.1 / 0.12 / 0.38 %, which the paper rounds so that they sum to 99.78 %
    assert sum(PAPER_SHARES.values()) == pytest.approx(0.9978)


def test_what_no_case_has_is_none(cohort):
    table, _ = cohort
    bare = table.assign(has_truth=False, tumour_cm3=np.nan, **{f"label_{label}": pd.NA for label in range(5)})
    found = fingerprint(bare)
    assert json.dumps(found, allow_nan=False)
    assert found["tumour_cm3"] == {"min": None, "median": None, "max": None}
    assert found["labels"]["cases"] == 0 and found["labels"]["table"][1]["share"] is None


def test_a_mixed_cohort_is_told(cohort):
    table, _ = cohort
    assert mixed_labels(table).startswith(
        "1 cases tell necrosis and non-enhancing tumour apart (first LG_0001), 2 hold"
    )
    for rows in (table[table["scheme"] == "five"], table[table["scheme"] != "five"]):
        assert mixed_labels(rows) == ""
