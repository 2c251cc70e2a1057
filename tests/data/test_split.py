import itertools
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from brats_cascade.data.split import (
    Split,
    check_no_leak,
    fold_split,
    release_split,
    split_by_lists,
    split_patients,
)
from brats_cascade.errors import UserError


def cohort(high, low, *, scans=1, release="brats2017", name="p"):
    """One row per case; every patient has `scans` cases."""
    grades = ["high"] * high + ["low"] * low
    rows = [
        (f"{name}{i:02}_{scan}", f"{name}{i:02}", grade, release, f"{name}{i} {scan}")
        for i, grade in enumerate(grades)
        for scan in range(scans)
    ]
    return pd.DataFrame(rows, columns=["case", "patient", "grade", "release", "voxels_hash"])


def grades_of(split, cases, name):
    table = cases.drop_duplicates("patient").set_index("patient")["grade"]
    return table[list(split.patients[name])].value_counts().to_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("high", "low", "validation", "test", "expected"),
    [
        # the 14 real cases: 3 * 11/14 = 2.36 and 3 * 3/14 = 0.64 patients, so 2 and 1
        (11, 3, 1, 3, {"test": {"high": 2, "low": 1}, "validation": {"high": 1}, "train": {"high": 8, "low": 2}}),
        # the phantom: both grades have more than three patients, so both are everywhere
        (8, 4, 2, 3, {"test": {"high": 2, "low": 1}, "validation": {"high": 1, "low": 1}, "train": {"high": 5, "low": 2}}),
        # 20 high and 4 low: low's share of 2 is 0.33, yet it is large enough to be in each set
        (20, 4, 2, 2, {"test": {"high": 1, "low": 1}, "validation": {"high": 1, "low": 1}}),
        # no room for both: the grade with more patients
        (8, 4, 1, 0, {"validation": {"high": 1}, "train": {"high": 7, "low": 4}}),
        # two low-grade patients: their share of 12 is 2.0, but one must stay for training
        (10, 2, 0, 8, {"test": {"high": 7, "low": 1}, "validation": {}, "train": {"high": 3, "low": 1}}),
        # one low-grade patient is never held out
        (9, 1, 4, 4, {"train": {"high": 1, "low": 1}}),
        # nobody to spare: the grades' last patients go too
        (1, 2, 1, 1, {"train": {"low": 1}}),
    ],
)  # fmt: skip
def test_grades_are_shared_by_largest_remainder(high, low, validation, test, expected):
    cases = cohort(high, low)
    for seed in range(8):
        split = split_patients(cases, validation=validation, test=test, seed=seed)
        assert len(split.patients["validation"]) == validation and len(split.patients["test"]) == test
        for name, grades in expected.items():
            if (high, low, name) != (1, 2, "train"):
                assert grades_of(split, cases, name) == grades
            else:
                assert len(split.train) == 1


@pytest.mark.slow
def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    cases = cohort(8, 4, scans=2)
    split = split_patients(cases, validation=2, test=3, seed=5)
    shuffled = cases.sample(frac=1, random_state=3)
    assert split_patients(shuffled, validation=2, test=3, seed=5) == split
    others = {split_patients(cases, validation=2, test=3, seed=seed).test for seed in range(10)}
    assert len(others) > 5
    # every patient is tested by some seed: nobody is tied to a set by name
    tested = {patient for seed in range(60) for patient in split_patients(cases, validation=2, test=3, seed=seed).test}
    assert len(tested) == 24


def test_all_cases_of_a_patient_go_together():
    cases = cohort(6, 5, scans=3)
    split = split_patients(cases, validation=2, test=2, seed=1)
    assert len(split.test) == 6 and len(split.train) == 21
    assert sorted(split.train + split.validation + split.test) == sorted(cases["case"])
    check_no_leak(split, cases)
    stored = json.loads(json.dumps(split.as_dict()))
    assert stored["seed"] == 1 and stored["test"] == list(split.test)
    assert {case[:3] for case in stored["test"]} == set(stored["patients"]["test"])


def test_a_patient_of_two_grades_counts_once():
    second = {"case": "p00_9", "patient": "p00", "grade": "low", "release": "brats2017"}
    cases = pd.concat([cohort(3, 1), pd.DataFrame([second])])
    split = split_patients(cases, validation=1, test=1, seed=0)
    assert sum(len(patients) for patients in split.patients.values()) == 4


def folds_of(cases, *, folds, seed):
    """Every round's test set is one fold."""
    return [fold_split(cases, folds=folds, fold=fold, validation=0, seed=seed) for fold in range(folds)]


def test_too_few_patients_are_refused_with_the_counts():
    with pytest.raises(UserError, match=r"3 patients found, but validation=1 and test=2 .* need 4"):
        split_patients(cohort(2, 1, scans=4), validation=1, test=2, seed=0)


def test_lists_of_patients_or_cases_are_taken_as_given():
    cases = cohort(4, 2, scans=2)
    split = split_by_lists(cases, validation=["p01"], test=["p05_1", "p02", "p02_0"])
    assert split.validation == ("p01_0", "p01_1") and split.patients["test"] == ("p02", "p05")
    assert split.test == ("p02_0", "p02_1", "p05_0", "p05_1") and split.patients["train"] == ("p00", "p03", "p04")
    check_no_leak(split, cases)
    with pytest.raises(UserError, match=r"p1 of the test list is neither a patient .* did you mean p01"):
        split_by_lists(cases, validation=[], test=["p1"])
    with pytest.raises(UserError, match="patient p02 is in the validation and in the test list"):
        split_by_lists(cases, validation=["p02_0"], test=["p02_1"])
    with pytest.raises(UserError, match="leave at least one"):
        split_by_lists(cases, validation=["p00", "p01", "p02"], test=["p03", "p04", "p05"])


def with_sets(**sets):
    names = {name: tuple(sets.get(name, ())) for name in ("train", "validation", "test")}
    return Split(seed=0, patients={name: () for name in names}, **names)


def test_leaks_are_named():
    cases = pd.DataFrame(
        {
            "case": ["a1", "a2", "b", "c", "d", "e"],
            "patient": ["a", "a", "b", "c", "d", "e"],
            "voxels_hash": ["1", "2", "3", "3", "", None],
        }
    )
    check_no_leak(with_sets(train=["a1", "a2", "b"], test=["d", "e"]), cases)
    check_no_leak(with_sets(train=["b", "c"], validation=["d"], test=["e"]), cases)  # unknown hashes are not equal
    with pytest.raises(UserError, match=r"a2 \(test\) and a1 \(train\) share the same patient a"):
        check_no_leak(with_sets(train=["a1"], test=["a2"]), cases)
    with pytest.raises(UserError, match=r"c \(validation\) and b \(train\) share the same voxels"):
        check_no_leak(with_sets(train=["b"], validation=["c"]), cases)
    with pytest.raises(UserError, match=r"b \(test\) and b \(train\) share the same case b"):
        check_no_leak(with_sets(train=["b"], test=["b"]), cases)
    with pytest.raises(UserError, match="zz of the train set is not among the cases"):
        check_no_leak(with_sets(train=["zz"]), cases)


@pytest.mark.parametrize(("high", "low", "folds"), [(11, 3, 5), (8, 4, 3), (20, 10, 5), (2, 1, 3)])
def test_folds_have_the_properties_of_stratified_group_k_fold(high, low, folds):
    cases = cohort(high, low, scans=2)
    ours = folds_of(cases, folds=folds, seed=4)
    assert ours == folds_of(cases.iloc[::-1], folds=folds, seed=4)
    for split in ours:
        check_no_leak(split, cases)
        assert split.validation == () and set(split.train) | set(split.test) == set(cases["case"])
    held_out = [set(split.test) for split in ours]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(held_out, 2))
    assert set.union(*held_out) == set(cases["case"])

    def spread(folds_of_cases):
        """Standard deviation over the folds of the number of cases of each grade: what stratifying keeps low."""
        numbers = [cases.set_index("case").loc[sorted(names), "grade"].value_counts() for names in folds_of_cases]
        return np.nan_to_num(pd.DataFrame(numbers).reindex(columns=["high", "low"]).fillna(0).std(ddof=0)).sum()

    theirs = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=0)
    indices = [test for _, test in theirs.split(cases, cases["grade"], cases["patient"])] if min(high, low) > 1 else []
    if indices:
        assert spread(held_out) <= spread([set(cases["case"].iloc[rows]) for rows in indices]) + 1e-9
    for grade in ("high", "low"):
        counts = [grades_of(split, cases, "test").get(grade, 0) for split in ours]
        assert max(counts) - min(counts) <= 1
    sizes = [len(split.patients["test"]) for split in ours]
    assert max(sizes) - min(sizes) <= 1


def two_releases():
    """The development scans: 11 high and 3 low-grade patients of one release, 10 without a grade of another."""
    return pd.concat([cohort(11, 3), cohort(10, 0, release="brats2021", name="q").assign(grade="unknown")])


def test_folds_of_two_releases_have_the_same_share_of_each():
    cases = two_releases()
    for seed in range(5):
        folds = [set(split.patients["test"]) for split in folds_of(cases, folds=4, seed=seed)]
        tables = [cases[cases["patient"].isin(fold)] for fold in folds]
        assert [len(fold) for fold in folds] == [6, 6, 6, 6] and len(set.union(*folds)) == 24
        assert sorted(sum(table["release"] == "brats2017") for table in tables) == [3, 3, 4, 4]  # 14 over 4
        assert sorted(sum(table["grade"] == "low") for table in tables) == [0, 1, 1, 1]  # 3 over 4
        assert sorted(sum(table["grade"] == "high") for table in tables) == [2, 3, 3, 3]  # 11 over 4
        again = [set(split.patients["test"]) for split in folds_of(cases.iloc[::-1], folds=4, seed=seed)]
        assert again == folds


def test_held_out_sets_of_two_releases_have_the_same_share_of_each():
    cases = two_releases()
    release = cases.drop_duplicates("patient").set_index("patient")["release"]
    split = split_patients(cases, validation=5, test=5, seed=3)
    # 5 * 14/24 = 2.9 and 5 * 10/24 = 2.1 patients
    for name in ("validation", "test"):
        assert release[list(split.patients[name])].value_counts().to_dict() == {"brats2017": 3, "brats2021": 2}
    one_round = fold_split(cases, folds=4, fold=1, validation=3, seed=3)
    assert set(release[list(one_round.patients["validation"])]) == {"brats2017", "brats2021"}


def test_releases_are_told_apart_where_their_grades_are_the_same():
    cases = pd.concat([cohort(8, 0), cohort(8, 0, release="brats2021", name="q")], ignore_index=True)
    release = cases.drop_duplicates("patient").set_index("patient")["release"]
    for seed in range(6):
        for fold in folds_of(cases, folds=4, seed=seed):
            counts = release[list(fold.patients["test"])].value_counts().to_dict()
            assert counts == {"brats2017": 2, "brats2021": 2}  # 8 over 4, of each


def test_one_release_is_split_as_by_grade_alone():
    cases = cohort(8, 4)
    split = split_patients(cases, validation=2, test=3, seed=1)
    assert split == split_patients(cases.assign(release="a"), validation=2, test=3, seed=1)
    # what the split by grade alone drew, before releases counted
    assert split.patients["test"] == ("p00", "p05", "p10") and split.patients["validation"] == ("p01", "p11")


def test_every_patient_is_in_the_test_set_of_one_round():
    cases = cohort(11, 3, scans=2)
    rounds = [fold_split(cases, folds=4, fold=fold, validation=2, seed=5) for fold in range(4)]
    tested = [patient for split in rounds for patient in split.patients["test"]]
    assert sorted(tested) == sorted(set(cases["patient"]))
    for split in rounds:
        check_no_leak(split, cases)
        assert len(split.patients["validation"]) == 2
        assert sum(len(members) for members in split.patients.values()) == 14
        assert len(split.train) + len(split.validation) + len(split.test) == 28
    assert sum("low" in grades_of(split, cases, "test") for split in rounds) == 3
    again = fold_split(cases.sample(frac=1, random_state=0), folds=4, fold=1, validation=2, seed=5)
    assert again.as_dict() == rounds[1].as_dict()


@pytest.mark.slow
def test_the_rounds_have_other_validation_patients():
    cases = cohort(11, 3)
    for seed in range(8):
        rounds = [fold_split(cases, folds=7, fold=fold, validation=1, seed=seed) for fold in range(7)]
        assert len({split.patients["validation"] for split in rounds}) == 7
        rounds = [fold_split(cases, folds=4, fold=fold, validation=2, seed=seed) for fold in range(4)]
        watched = {patient for split in rounds for patient in split.patients["validation"]}
        assert len(watched) >= 6, seed  # of 8 places
        for split in rounds:  # the grades in proportion, as in a split of what the round has to draw from
            rest = cases[~cases["patient"].isin(split.patients["test"])]
            plain = split_patients(rest, validation=2, test=0, seed=seed)
            assert grades_of(split, cases, "validation") == grades_of(plain, cases, "validation")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 3, "fold": 3}, r"fold 3 of 3: expected split\.fold from 0 to 2"),
        ({"folds": 20, "fold": 0}, "20 folds of 5 patients"),
        ({"folds": 1, "fold": 0}, "1 folds of 5 patients"),
        ({"folds": 2, "fold": 0, "validation": 3}, "lower split.validation"),
    ],
)
def test_rounds_that_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        fold_split(cohort(3, 2), **{"validation": 1, "seed": 0, **options})


def test_one_release_is_the_test_set_and_the_others_train_and_validate():
    cases = pd.concat([cohort(6, 3, scans=2), cohort(5, 0, release="brats2021", name="q")], ignore_index=True)
    split = release_split(cases, release="brats2021", validation=2, seed=3)
    assert split.patients["test"] == tuple(f"q{number:02}" for number in range(5))
    assert len(split.patients["validation"]) == 2 and len(split.train) == 14
    assert not {name for part in (split.train, split.validation) for name in part if name.startswith("q")}
    other = release_split(cases, release="brats2017", validation=1, seed=3)
    assert len(other.test) == 18 and len(other.validation) == 1 and len(other.train) == 4
    assert release_split(cases.sample(frac=1, random_state=1), release="brats2021", validation=2, seed=3) == split
    check_no_leak(split, cases)


@pytest.mark.parametrize(
    ("release", "validation", "message"),
    [("brats2020", 1, "split.test_release: no usable case of 'brats2020'; found brats2017"),
     ("brats2017", 1, "0 patients found, but validation=1")],
)  # fmt: skip
def test_a_release_that_cannot_be_the_test_set_is_one_line(release, validation, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")) as caught:
        release_split(cohort(4, 2), release=release, validation=validation, seed=1)
    assert "\n" not in str(caught.value)
