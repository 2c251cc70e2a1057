import numpy as np
import pandas as pd
import pytest

from brats_cascade.evaluation.regions import score_case
from brats_cascade.evaluation.summary import bootstrap_interval, flatten, pick_cases, summarise
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
