import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from brats_cascade.evaluation.summary import against, paired_difference, wilcoxon_p
from brats_cascade.labels import REGIONS


def table(dice, *, per_patient=1, names=None):
    cases = names or [f"c{number}" for number in range(len(dice))]
    patients = [f"p{number // per_patient}" for number in range(len(dice))]
    return pd.DataFrame({"case": cases, "patient": patients, **{f"{region}_dice": dice for region in REGIONS}})


def test_six_patients_get_scipys_p_and_an_interval():
    generator = np.random.default_rng(0)
    first, second = generator.uniform(0.5, 0.9, 8), generator.uniform(0.4, 0.8, 8)
    numbers = paired_difference(table(first), table(second), region="core")
    assert numbers["difference"] == pytest.approx((first - second).mean())
    assert numbers["p"] == pytest.approx(wilcoxon(first, second).pvalue)
    assert numbers["low"] < numbers["difference"] < numbers["high"]
    assert numbers["patients"] == 8
    # all six differences of one sign: 2 / 2^6
    assert wilcoxon_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])) == pytest.approx(2 / 2**6)


def test_few_patients_get_less():
    five, two = (paired_difference(table([0.5] * n), table([0.4] * n), region="core") for n in (5, 2))
    assert "p" not in five and five["low"] == pytest.approx(0.1)
    assert set(two) == {"patients", "difference"}


def test_cases_of_one_patient_are_one_observation_and_strangers_are_left_out():
    first = table([0.8, 0.6, 0.5, 0.5], per_patient=2)
    second = table([0.7, 0.5, 0.5, 0.9], per_patient=2, names=["c0", "c1", "c2", "x"])
    numbers = paired_difference(first, second, region="complete")
    assert numbers == {"patients": 2, "difference": pytest.approx(0.05)}
    assert "difference" not in paired_difference(first, table([0.1], names=["y"]), region="complete")


def test_equal_experiments_differ_by_nothing():
    numbers = paired_difference(table([0.5] * 7), table([0.5] * 7), region="core")
    assert (numbers["difference"], numbers["p"]) == (0.0, 1.0)


def test_one_against_the_others():
    found = against("a", tables={"a": table([0.9] * 6), "b": table([0.8] * 6), "c": table([0.7] * 6)})
    assert set(found) == {"b", "c"} and set(found["b"]) == set(REGIONS)
    assert found["c"]["core"]["difference"] == pytest.approx(0.2)
