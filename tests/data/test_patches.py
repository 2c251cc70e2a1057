from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brats_cascade.data import census as census_module
from brats_cascade.data.census import classes_of, count_voxels, eligible_voxels, labels_of
from brats_cascade.data.patches import COLUMNS, draw_patch_sets, equal_quotas, proportional_shares, summarise
from brats_cascade.data.store import write_case
from brats_cascade.errors import UserError

FIVE = (0, 1, 2, 3, 4)
FOUR = (0, 1, 2, 4)
PLACE = ["case", "slice", "row", "column"]


@pytest.fixture(autouse=True)
def in_memory(monkeypatch):
    """The cases of these tests are not in a store: what stands for a case's folder is the open case."""
    monkeypatch.setattr(census_module, "open_case", lambda case: case)


def draw(cases, *, classes=FIVE, border=0, **asked):
    return draw_patch_sets(cases, census=count_voxels(cases, classes=classes, border=border), **asked)


def natural_set(cases, *, count, **settings):
    return draw(cases, phase2=count, **settings)["phase2"]


def stored(name, *, shape=(6, 20, 24), seed=0, scheme="five", shares=(0.9, 0.01, 0.05, 0.01, 0.03)):
    """A stored case: brain in the middle of each slice but the first two, every label also outside the brain."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(5, size=shape, p=shares).astype(np.uint8)
    brain = np.zeros(shape, dtype=bool)
    brain[2:, 4:-4, 5:-5] = True
    brain[1, 10, 10] = True  # one pixel of brain: the slice is blank all the same
    uncropped = tuple(2 * side for side in shape)
    return SimpleNamespace(name=name, brain=brain, labels=labels, meta={"shape": uncropped, "scheme": scheme})


def cohort(**changes):
    return [stored(name, seed=seed, **changes) for seed, name in enumerate("abc")]


def label_counts(table, classes=FIVE):
    return [int((table["label"] == label).sum()) for label in classes]


def test_a_table_points_at_eligible_voxels_with_their_labels():
    cases = {case.name: case for case in cohort()}
    sets = draw(list(cases.values()), phase1=600, phase2=900, seed=3)
    assert [len(sets["phase1"]), len(sets["phase2"])] == [600, 900]
    for table in sets.values():
        assert tuple(table.columns) == COLUMNS
        assert table.dtypes.astype(str).to_dict() == {
            **{"case": "str", "slice": "int16", "row": "int16", "column": "int16", "label": "uint8"}
        }
        assert not table.duplicated(PLACE).any()
        assert table[PLACE].equals(table[PLACE].sort_values(PLACE, ignore_index=True))
        for name, part in table.groupby("case"):
            place = (part["slice"], part["row"], part["column"])
            np.testing.assert_array_equal(cases[name].labels[place], part["label"])
            assert cases[name].brain[place].all()


def test_centres_outside_the_brain_or_in_blank_slices_never_occur():
    # take everything there is: were a place outside the brain or in a blank slice eligible, it would be in the table
    case = stored("a")
    everything = natural_set([case], count=10**9, seed=0)
    assert len(everything) == 4 * 12 * 14
    assert everything["slice"].min() == 2
    assert everything["row"].between(4, 15).all() and everything["column"].between(5, 18).all()
    assert case.brain[1].any() and not (everything["slice"] == 1).any()
    phase1 = draw([case], phase1=10**9, seed=0)["phase1"]
    pd.testing.assert_frame_equal(phase1, everything)
    census = count_voxels([case], classes=FIVE)
    assert census.in_blank_slices == 1
    assert census.outside_brain == 6 * 20 * 24 - 4 * 12 * 14 - 1


def test_a_slice_is_blank_below_one_in_a_hundred_of_the_uncropped_slice():
    brain = np.zeros((3, 10, 10), dtype=bool)
    brain[0, 0, :4] = brain[1, 0, :3] = True
    case = SimpleNamespace(name="a", brain=brain, labels=None, meta={"shape": (3, 20, 20)})
    np.testing.assert_array_equal(eligible_voxels(case).sum(axis=(1, 2)), [4, 0, 0])


def test_phase_1_is_equiprobable_and_tops_up_where_a_label_is_short():
    cases = cohort(shares=(0.8, 0.01, 0.15, 0.01, 0.03))
    available = count_voxels(cases, classes=FIVE).eligible.sum(axis=0)
    enough = 5 * int(available.min())
    assert label_counts(draw(cases, phase1=enough, seed=1)["phase1"]) == [available.min()] * 5
    # 3 labels cannot give a fifth of 600: all they have, the other two the rest in halves
    short = [label for label in FIVE if available[label] < 120]
    rest = 600 - sum(available[label] for label in short)
    counts = label_counts(draw(cases, phase1=600, seed=1)["phase1"])
    assert short == [1, 3, 4] and [counts[label] for label in short] == [available[label] for label in short]
    assert counts[0] + counts[2] == rest and 0 <= counts[0] - counts[2] <= 1


def test_phase_2_has_natural_frequencies_within_binomial_error():
    cases = [stored(name, seed=seed, shape=(12, 60, 60)) for seed, name in enumerate("abcd")]
    table = natural_set(cases, count=4000, seed=2)
    everything = np.concatenate([case.labels[eligible_voxels(case)] for case in cases])
    shares = np.bincount(everything, minlength=5) / everything.size
    for label, count in enumerate(label_counts(table)):
        assert stats.binomtest(count, 4000, shares[label]).pvalue > 0.01
    per_case = table["case"].value_counts()
    assert per_case.min() > 0.2 * 4000 and len(per_case) == 4


@pytest.mark.slow
def test_every_eligible_voxel_is_drawn_equally_often():
    # a chi-squared test over all voxels of two cases of unequal size
    cases = [stored("a", shape=(4, 12, 14)), stored("b", shape=(5, 14, 16), seed=1)]
    size = int(count_voxels(cases, classes=FIVE).eligible.sum())
    drawn = pd.concat(natural_set(cases, count=size // 4, seed=seed) for seed in range(400))
    hits = drawn.value_counts(PLACE).to_numpy()
    assert len(hits) == size
    expected = 400 * (size // 4) / size
    spread = ((hits - expected) ** 2).sum() / (expected * (1 - (size // 4) / size))  # hypergeometric variance
    assert 0.0001 < stats.chi2.cdf(spread, df=size - 1) < 0.9999


def test_reruns_are_identical_whatever_the_order_of_the_cases():
    cases = cohort()
    first = draw(cases, phase1=300, phase2=300, seed=7)
    again = draw(cases[::-1], phase1=300, phase2=300, seed=7)
    other = draw(cases, phase1=300, phase2=300, seed=8)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, again[name])
        assert not table.equals(other[name])


def test_a_seed_draws_what_it_always_drew():
    """As drawn when this was written: what a seed gives stays, so that an old run can be repeated."""
    cases = [stored(name, seed=seed, shape=(4, 12, 14)) for seed, name in enumerate("ab")]
    sets = draw(cases, phase1=9, phase2=9, seed=1)
    places = {
        name: [f"{row.case} {row.slice} {row.row} {row.column}" for row in table.itertuples()]
        for name, table in sets.items()
    }
    assert places == {
        "phase1": ["a 2 5 6", "a 2 5 8", "a 2 7 5", "a 2 7 8", "a 3 7 5", "b 2 4 8", "b 2 6 7", "b 3 7 6", "b 3 7 7"],
        "phase2": ["a 2 4 7", "a 2 7 8", "a 3 5 6", "a 3 6 5", "a 3 7 7", "b 2 7 7", "b 3 5 5", "b 3 7 6", "b 3 7 8"],
    }


def test_cases_in_a_store_give_the_same_sets(tmp_path, monkeypatch):
    cases = cohort()
    expected = draw(cases, phase1=200, phase2=200, seed=3)
    for case in cases:
        image = np.zeros((*case.brain.shape, 4), dtype=np.float32)
        meta = {**case.meta, "shape": list(case.meta["shape"])}
        write_case(tmp_path, name=case.name, image=image, brain=case.brain, labels=case.labels, meta=meta)
    monkeypatch.undo()
    folders = [tmp_path / name for name in "bca"]
    assert classes_of(folders) == FIVE
    for name, table in draw(folders, phase1=200, phase2=200, seed=3).items():
        pd.testing.assert_frame_equal(table, expected[name])


def test_classes_follow_the_releases_and_label_3_merges_into_1():
    five, merged, decathlon = (stored("a", scheme=scheme) for scheme in ("five", "merged", "decathlon"))
    assert classes_of([five, five]) == FIVE
    assert classes_of([five, merged]) == FOUR and classes_of([decathlon]) == FOUR
    without = stored("b", shares=(0.9, 0.02, 0.05, 0, 0.03))
    assert classes_of([without]) == FOUR and classes_of([without, five]) == FIVE
    labels = np.array([[0, 1, 2], [3, 4, 3]], dtype=np.uint8)
    merged_labels = labels_of(SimpleNamespace(labels=labels), classes=FOUR)
    assert merged_labels.dtype == np.uint8
    np.testing.assert_array_equal(merged_labels, [[0, 1, 2], [1, 4, 1]])
    assert labels[1, 0] == 3 and labels_of(SimpleNamespace(labels=labels), classes=FIVE) is labels

    table = natural_set([five], count=10**9, seed=0, classes=FOUR)
    inside = five.labels[eligible_voxels(five)]
    counts = [np.sum(inside == 0), np.sum((inside == 1) | (inside == 3)), np.sum(inside == 2), np.sum(inside == 4)]
    assert label_counts(table, classes=FOUR) == counts and not (table["label"] == 3).any()


def test_the_summary_tells_the_shares_and_what_was_short():
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[0, 0] = [1, 2, 2, 4]
    case = SimpleNamespace(
        name="a", brain=np.ones((4, 4, 4), dtype=bool), labels=labels, meta={"shape": (8, 4, 4), "scheme": "merged"}
    )
    census = count_voxels([case], classes=FOUR)
    sets = draw([case], phase1=16, phase2=64, seed=0, classes=FOUR)
    summary = summarise(sets, asked={"phase1": 16, "phase2": 64}, census=census, seed=0)
    assert summary["classes"] == [0, 1, 2, 4] and summary["seed"] == 0
    assert summary["frequencies"] == {"0": 60 / 64, "1": 1 / 64, "2": 2 / 64, "4": 1 / 64}
    assert summary["voxel_shares"] == {"0": 124 / 128, "1": 1 / 128, "2": 2 / 128, "4": 1 / 128}
    assert summary["counts"] == {
        "phase1": {"0": 12, "1": 1, "2": 2, "4": 1},
        "phase2": {"0": 60, "1": 1, "2": 2, "4": 1},
    }
    assert summary["eligible"] == {"0": 60, "1": 1, "2": 2, "4": 1}
    assert summary["excluded"] == {"outside_brain": 0, "in_blank_slices": 0, "near_border": 0}
    assert "phase1: 16 of 16 centres: everything else 75.0%, necrosis 6.2%" in summary["notes"][0]
    assert [note for note in summary["notes"] if "necrosis has only 1 eligible" in note]
    assert len(summary["notes"]) == 5


def one_slice(labels):
    labels = np.array([[labels]], dtype=np.uint8)
    meta = {"shape": labels.shape, "scheme": "merged"}
    return SimpleNamespace(name="a", brain=np.ones(labels.shape, dtype=bool), labels=labels, meta=meta)


def test_the_summary_of_one_voxel_and_one_set():
    case = one_slice([0])
    census = count_voxels([case], classes=FOUR)
    sets = {"phase2": natural_set([case], count=1, seed=0, classes=FOUR)}
    assert [len(table) for table in draw([case], seed=0, classes=FOUR).values()] == [0, 0]  # as asked for
    summary = summarise(sets, asked={"phase2": 1}, census=census, seed=0)
    assert summary["frequencies"] == summary["voxel_shares"] == {"0": 1, "1": 0, "2": 0, "4": 0}
    shares = "everything else 100.0%, necrosis 0.0%, edema 0.0%, enhancing tumour 0.0%"
    assert summary["notes"] == [f"phase2: 1 of 1 centres: {shares}"]


def test_no_label_is_short_where_all_have_as_many():
    case = one_slice([0, 1, 2, 4])
    sets = draw([case], phase1=4, seed=0, classes=FOUR)
    census = count_voxels([case], classes=FOUR)
    notes = summarise(sets, asked={"phase1": 4, "phase2": 0}, census=census, seed=0)["notes"]
    assert len(notes) == 2 and notes[1] == (
        "phase2: 0 of 0 centres: everything else 0.0%, necrosis 0.0%, edema 0.0%, enhancing tumour 0.0%"
    )


def test_unusable_cases_are_refused_by_name():
    truthless = SimpleNamespace(**{**vars(stored("a")), "labels": None})
    with pytest.raises(UserError, match="a: has no ground truth"):
        natural_set([truthless], count=1, seed=0)
    with pytest.raises(UserError, match="different names"):
        natural_set([stored("a"), stored("a")], count=1, seed=0)
    with pytest.raises(UserError, match="at least one"):
        natural_set([], count=1, seed=0)
    bad = stored("b")
    bad.labels[0, 0, 0] = 7
    with pytest.raises(UserError, match=r"b: labels.npy holds \[7\]"):
        count_voxels([bad], classes=FIVE)


@pytest.mark.parametrize(
    ("available", "total", "expected"),
    [
        ([100, 100, 100], 30, [10, 10, 10]),
        ([100, 100, 100], 32, [11, 11, 10]),
        ([100, 5, 100], 31, [13, 5, 13]),
        ([100, 5, 100], 30, [13, 5, 12]),
        ([3, 0, 50, 1], 20, [3, 0, 16, 1]),
        ([2, 5, 5], 7, [2, 3, 2]),
        ([3, 4], 100, [3, 4]),
        ([3, 4], 0, [0, 0]),
    ],
)
def test_equal_quotas(available, total, expected):
    quotas = equal_quotas(np.array(available), total=total)
    np.testing.assert_array_equal(quotas, expected)
    assert quotas.dtype == np.int64


def test_proportional_shares_are_exact_and_unbiased():
    counts = np.array([0, 7, 1, 1000, 92])
    rng = np.random.default_rng(0)
    shares = np.array([proportional_shares(counts, total=55, rng=rng) for _ in range(4000)])
    assert (shares.sum(axis=1) == 55).all()
    exact = 55 * counts / counts.sum()  # 0, 0.35, 0.05, 50, 4.6
    assert (shares >= np.floor(exact)).all() and (shares <= np.ceil(exact)).all()
    error = np.sqrt((exact % 1) * (1 - exact % 1) / 4000)
    assert (abs(shares.mean(axis=0) - exact) <= 5 * error + 1e-12).all()
    np.testing.assert_array_equal(proportional_shares(counts, total=1100, rng=rng), counts)
    np.testing.assert_array_equal(proportional_shares(counts, total=0, rng=rng), 0)
    with pytest.raises(ValueError, match="at most 1100, received 1101"):
        proportional_shares(counts, total=1101, rng=rng)
    # a cohort beyond the range of floats and of NumPy's hypergeometric draws
    large = np.full(2000, 1_500_000)
    assert proportional_shares(large, total=5_400_000, rng=rng).tolist() == [2700] * 2000


@pytest.mark.parametrize("border", [1, 5, 9])
def test_no_patch_of_that_reach_leaves_the_slice(border):
    case = stored("a")
    case.meta["offset"] = (0, 3, 7)
    _, rows, columns = case.meta["shape"]
    expected = {
        (slice_, row, column)
        for slice_, row, column in np.argwhere(eligible_voxels(case)).tolist()
        if border <= row + 3 < rows - border and border <= column + 7 < columns - border
    }
    everything = natural_set([case], count=10**9, seed=0, border=border)
    assert set(everything[["slice", "row", "column"]].itertuples(index=False, name=None)) == expected
    census, free = count_voxels([case], classes=FIVE, border=border), count_voxels([case], classes=FIVE)
    assert census.near_border == free.eligible.sum() - len(expected)
    assert (census.in_blank_slices, census.outside_brain) == (free.in_blank_slices, free.outside_brain)
    assert free.near_border == 0
    if border == 9:
        assert census.near_border > 0  # the rule does fire
