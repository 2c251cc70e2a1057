from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from brats_cascade.drawing.figures import bland_altman
from brats_cascade.evaluation.lesions import LESION_COUNTS, LESION_MEANS, score_lesions
from brats_cascade.evaluation.regions import score_case
from brats_cascade.evaluation.summary import (
    bootstrap_interval,
    flatten,
    headline,
    pick_cases,
    summarise,
    volume_agreement,
)
from brats_cascade.labels import REGIONS


def cases(*, patients=5, per_patient=1):
    generator = np.random.default_rng(3)
    rows = []
    for patient in range(patients):
        for visit in range(per_patient):
            truth, found = (generator.integers(0, 5, (4, 5, 6)).astype(np.uint8) for _ in range(2))
            grade = "high" if patient % 2 else "low"
            name = f"p{patient}-{visit}"
            scores = score_case(truth, found, spacing=(1, 1, 1))
            rows.append({"case": name, "patient": f"p{patient}", "grade": grade, **scores})
    return pd.DataFrame(rows)


def test_means_and_medians():
    table = cases()
    summary = summarise(table, seed=1)
    for region in REGIONS:
        for score in ("dice", "ppv", "sensitivity", "specificity", "hd95"):
            assert summary[region][score] == pytest.approx(table[f"{region}_{score}"].mean())
            assert summary[region][f"{score}_median"] == pytest.approx(table[f"{region}_{score}"].median())
        assert summary[region]["dice_low"] < summary[region]["dice"] < summary[region]["dice_high"]
    high = table[table["grade"] == "high"]
    assert summary["enhancing_high_grade"]["dice"] == pytest.approx(high["enhancing_dice"].mean())
    assert (summary["cases"], summary["patients"]) == (5, 5)


def test_the_same_seed_gives_the_same_numbers_and_only_plain_ones():
    first, second = summarise(cases(), seed=4), summarise(cases(), seed=4)
    assert first == second
    assert {type(value) for value in first["core"].values()} == {float}


def test_few_patients_get_no_interval_and_low_grade_cohorts_no_high_grade_entry():
    table = cases(patients=1, per_patient=3)
    summary = summarise(table, seed=1)
    assert "dice_low" not in summary["complete"]
    assert "enhancing_high_grade" not in summary
    assert (summary["cases"], summary["patients"]) == (3, 1)


def test_the_bootstrap_interval_is_that_of_the_mean_of_patients():
    generator = np.random.default_rng(0)
    per_patient = generator.normal(0.8, 0.1, size=60)
    values, groups = np.repeat(per_patient, 4), np.repeat(np.arange(60), 4)  # four equal cases a patient add nothing
    low, high = bootstrap_interval(values, groups=groups, generator=np.random.default_rng(1))
    error = per_patient.std() / np.sqrt(60)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_no_case_is_refused():
    with pytest.raises(ValueError, match="no scored case"):
        summarise(cases().iloc[:0], seed=1)


def test_best_median_and_worst():
    table = pd.DataFrame({"case": list("abcde"), "complete_dice": [0.1, 0.9, 0.5, 0.7, 0.3]})
    assert pick_cases(table) == {"best": "b", "median": "c", "worst": "a"}
    assert pick_cases(table[:1]) == {"best": "a"}
    assert pick_cases(table[:2]) == {"best": "b", "median": "a"}


def test_flatten():
    assert flatten({"core": {"dice": 1, "rule": "text"}, "cases": 3}) == {"core/dice": 1.0, "cases": 3.0}


def test_lesion_wise_scores_stand_beside_the_others_and_change_none():
    table = cases()
    generator = np.random.default_rng(4)
    blobs = [generator.random((9, 9, 9)) < 0.5 for _ in range(len(table) + 1)]
    pairs = [(truth * np.uint8(4), found * np.uint8(4)) for truth, found in pairwise(blobs)]
    lesions = pd.DataFrame([score_lesions(truth, found, spacing=(1, 1, 1)) for truth, found in pairs])
    both, alone = (summarise(each, seed=1) for each in (pd.concat([table, lesions], axis=1), table))
    assert {key: both["core"][key] for key in alone["core"]} == alone["core"]
    logged = flatten(both)  # MLflow: test/core/lesion_dice
    shown = headline({**both, "validation": {"dice": 0.5}})  # DVC
    assert shown["lesion_dice_core"] == logged["core/lesion_dice"] != shown["dice_core"]
    for score in LESION_MEANS:
        assert logged[f"core/{score}"] == pytest.approx(lesions[f"core_{score}"].mean())
    for count in LESION_COUNTS:
        assert logged[f"core/{count}"] == lesions[f"core_{count}"].sum()


def test_agreement_of_volumes_is_bland_and_altmans():
    table = pd.DataFrame({"core_truth_cm3": [10.0, 20.0, 30.0, np.nan], "core_predicted_cm3": [11.0, 23.0, 32.0, 1.0]})
    found = volume_agreement(table, region="core")
    assert found == pytest.approx({"volume_bias": 2.0, "volume_low": 2 - 1.96, "volume_high": 2 + 1.96})
    assert volume_agreement(table[:2], region="core") == {"volume_bias": 2.0}
    assert volume_agreement(table[["core_truth_cm3"]], region="core") == {}
    whole = table.assign(**{f"{region}_{kind}_cm3": 1.0 for region in ("complete", "enhancing")
                            for kind in ("truth", "predicted")})  # fmt: skip
    panels = bland_altman(
        whole[:3], agreement={region: volume_agreement(whole, region=region) for region in REGIONS}
    ).axes
    lines = [line.get_ydata() for line in panels[1].lines]
    assert [values[0] for values in lines[:4]] == pytest.approx([0, 2, 2 - 1.96, 2 + 1.96])
    assert list(lines[4]) == [1, 3, 2] and list(panels[1].lines[4].get_xdata()) == [10.5, 21.5, 31]
