"""brats-cascade evaluate --against: paired differences and ranks of several sets of predictions."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest

from brats_cascade.commands.against import compare_sets, mean_ranks, text_of
from brats_cascade.commands.evaluate import run
from brats_cascade.errors import UserError
from brats_cascade.labels import REGIONS, SCHEMES, recode


def table(dice, hd95, *, cases="ABC", told=REGIONS):
    columns = {}
    for region in REGIONS:
        columns[f"{region}_dice"] = dice if region in told else np.nan
        columns[f"{region}_hd95"] = hd95 if region in told else np.nan
    return pd.DataFrame({"case": list(cases), "patient": list(cases), **columns})


def test_ranks_are_means_over_cases_and_both_scores_and_equal_scores_share_them():
    sets = {
        "a": table([0.9, 0.8, 0.7], [1.0, 2.0, 3.0]),
        "b": table([0.8, 0.8 + 1e-9, 0.9], [2.0, 2.0, 9.0]),
        "c": table([0.1, 0.1, 0.1], [50.0, 1.0, 60.0]),
    }
    # by Dice a: 1, 1.5, 2; b: 2, 1.5, 1; c: 3, 3, 3; by HD95, where less is better, a: 1, 2.5, 1; b: 2, 2.5, 2; c: 3, 1, 3
    expected = {"a": 9 / 6, "b": 11 / 6, "c": 16 / 6}
    assert mean_ranks(sets, region="core") == pytest.approx(expected)
    compared = compare_sets(sets)
    assert compared["ranks"]["all"] == pytest.approx(expected) and list(compared["minus"]) == ["b", "c"]
    assert compared["minus"]["b"]["core"]["difference"] == pytest.approx((0.1 + 0 - 0.2) / 3)
    lines = text_of(compared).splitlines()
    assert lines[1].split() == ["minus", "b", "minus", "c", "rank", "a", "rank", "b", "rank", "c"]
    assert lines[-2].split()[0] == "all" and lines[-2].split()[1:] == ["1.50", "1.83", "2.67"]


def test_only_cases_and_regions_that_all_sets_have_are_compared():
    sets = {
        "a": table([0.5, 0.5, 0.1], [1, 1, 1]),
        "b": table([0.4, 0.6], [2, 2], cases="AB", told=("complete", "core")),
    }
    compared = compare_sets(sets)
    assert compared["cases"] == 2 and compared["minus"]["b"]["core"]["difference"] == pytest.approx(0)
    assert compared["minus"]["b"]["enhancing"] == {"patients": 0} and compared["ranks"]["enhancing"] == {}
    assert compared["ranks"]["all"] == pytest.approx({"a": 1.25, "b": 1.75})
    with pytest.raises(UserError, match="no case was scored in all of a, c"):
        compare_sets({"a": sets["a"], "c": table([0.1], [1], cases="Z")})


def test_the_command_scores_both_folders_and_the_json_holds_the_comparison(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in "ABC":
        truth = rng.choice((0, 1, 2, 4), size=(8, 8, 8))
        for folder, wrong in (("truth", 0), ("good", 20), ("poor", 200)):
            labels = truth.copy()
            labels.flat[:wrong] = 0
            (tmp_path / folder).mkdir(exist_ok=True)
            nibabel.Nifti1Image(labels.astype(np.uint8), np.eye(4)).to_filename(tmp_path / folder / f"{name}.nii.gz")
    good, poor, out = tmp_path / "good", tmp_path / "poor", tmp_path / "scores.json"
    text, failed = run(tmp_path / "truth", prediction=good, out=out, against=[poor])
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.endswith(":")] == [f"{good}:", f"{poor}:"]  # the heads of their notes
    assert failed == 0 and f"Dice of {good}, mean paired difference" in text and text.endswith(str(out))
    compared = json.loads(out.read_text())["against"]
    numbers = compared["minus"][str(poor)]["complete"]
    assert 0 < numbers["low"] <= numbers["difference"] <= numbers["high"] and numbers["patients"] == 3
    assert compared["ranks"]["complete"][str(good)] < 2 < 1 + compared["ranks"]["complete"][str(poor)]


def test_a_scheme_for_predictions_is_that_of_the_sets_to_compare_with_if_they_name_none(tmp_path):
    """A set in the paper's numbers, the same in the Decathlon's, and the same in numbers that its files name."""
    canonical = np.random.default_rng(0).choice((0, 1, 2, 3, 4), size=(8, 8, 8)).astype(np.uint8)
    folders = {"truth": "five", "a": "decathlon", "b": "decathlon", "c": "merged"}
    for name, scheme in folders.items():
        image = nibabel.Nifti1Image(recode(canonical, table=SCHEMES[scheme].from_canonical), np.eye(4))
        image.header.set_intent("label", name=scheme if name == "c" else "")
        (tmp_path / name).mkdir()
        image.to_filename(tmp_path / name / "A.nii.gz")
    truth, a, *others = (tmp_path / name for name in folders)
    out = tmp_path / "scores.json"
    _, failed = run(truth, prediction=a, out=out, scheme="five", prediction_scheme="decathlon", against=others)
    assert failed == 0
    for numbers in json.loads(out.read_text())["against"]["minus"].values():
        assert [numbers[region]["difference"] for region in REGIONS] == [0, 0, 0]


def test_sets_that_are_missing_or_given_twice_are_refused_before_any_is_scored(tmp_path):
    for name in ("truth", "a"):
        (tmp_path / name).mkdir()  # empty: scoring would say so
    out = tmp_path / "scores.json"
    for other, message in (("truth/../a", "is given twice"), ("b", "no such file or folder")):
        with pytest.raises(UserError, match=f"^--against {tmp_path / other}: {message}"):
            run(tmp_path / "truth", prediction=tmp_path / "a", out=out, against=[tmp_path / other])
