"""Cross-validations on the page: whose they are, what validation ranks, what N4 brings."""

import json
import shutil
from pathlib import Path

import pandas as pd
from material import page_of, with_data, write_crossval

from brats_cascade.provenance import scans_hash


def test_a_cross_validation_is_shown_when_it_is_there(project: Path, caplog) -> None:
    assert "Cross-validation" not in page_of(project)
    place = write_crossval(project, "one", cases_of="one")
    text = page_of(project)
    row = text.partition("| TwoPathCNN: one, cross-validated over 3 patients | ")[2].partition(" |\n")[0].split(" | ")
    assert row[:4] == ["0.456 [0.10, 0.95]"] * 3 + ["0.567 [0.10, 0.95]"]
    assert row[-3:] == ["1.2 min", "3.0 M", "3.5 s"]  # means over folds of 60 and 90 s
    section = text.partition("\n## Cross-validations\n")[2].partition("\n## ")[0]
    assert (
        "- one: `python pipelines/crossval.py one --folds 2`: 3 cases of 3 patients; trained on 2 cases, 1 for"
        in section
    )
    assert "1.0 to 1.5 min for 3.0 M labelled pixels, on a computer; commit abc." in section
    assert "The experiment one above was trained 1.5 min." in section
    assert "one: C is the worst case by complete Dice. Its complete Dice is 0.30; mostly tumour is missed" in section
    assert " minus " not in section and "once more" not in section  # nothing to compare
    shutil.rmtree(place)
    assert page_of(project) == text  # kept beside the page
    for name in ("one", "two", "short", "plain_unet"):
        with_data(project, name, md5="other")
    assert "Cross-validation" not in page_of(project)
    assert "crossval/one.json: of other data than this run's" in caplog.text


def test_a_cross_validation_of_other_data_is_left_out_from_the_start(project: Path) -> None:
    write_crossval(project, "one", cases_of="one", data_hashes={"data/volumes": "other"})
    assert "ross-validat" not in page_of(project)


def test_the_best_on_validation_is_compared_with_the_others_patient_by_patient(project: Path) -> None:
    write_crossval(project, "one", cases_of="one", note="at night")
    fold = {"fold": 0, "train": 2, "validation": 1, "seconds": 90, "labelled_pixels": 4e6}
    fold |= {"machine": "Xeon, 16 cores, 126 GiB, H200"}
    unet = {"experiment": "plain_unet", "architecture": "unet", "precision": "bfloat16"}
    write_crossval(project, "unet", cases_of="plain_unet", folds=[{**fold, "validation_dice": 0.8}], **unet)
    text = page_of(project)  # the U-Net's Dice is 0.05 higher in every case
    assert (
        "Of those on scans as they are with the same validation patients, plain_unet has the highest mean Dice" in text
    )
    row = "| one | +0.050 [+0.050, +0.050] | +0.050 [+0.050, +0.050] | +0.050 [+0.050, +0.050] | 0.800 : 0.700 |"
    assert f"{row} 4.0 : 3.0 M | 1.5 min in bfloat16, H200 : 1.2 min | 3.5 : 3.5 s |" in text
    assert "on a computer (at night); commit abc." in text
    assert "| 1.5 min, H200 | 4.0 M | 3.5 s |" in text  # in the first table
    assert "plain_unet: C is the worst case" in text and "one: C is the worst case" not in text


def test_validation_ranks_only_what_has_the_same_validation_patients(project: Path) -> None:
    fold = {"fold": 0, "train": 2, "validation": 1, "seconds": 90, "labelled_pixels": 4e6, "machine": "a computer"}
    fold["validation_dice"] = 0.7
    write_crossval(project, "one", cases_of="one", folds=[fold])
    write_crossval(project, "two", cases_of="two", experiment="two", folds=[{**fold, "validation_dice": 0.6}])
    later = {**fold, "validation_cases": ["D"], "validation_dice": 0.9}
    write_crossval(project, "short", cases_of="short", experiment="short", folds=[later])
    text = page_of(project)
    assert (
        "Of those on scans as they are with the same validation patients, one has the highest mean Dice on these"
        in text
    )
    assert "No other one on scans as they are has the validation patients of short, so validation does not rank" in text
    _, among, alone = text.partition("\n## Cross-validations\n")[2].split(" minus | ")
    assert [line.split(" | ")[0] for line in among.splitlines() if " : " in line] == ["| two"]
    assert [line.split(" | ")[0] for line in alone.splitlines() if " : " in line] == ["| one"]
    assert "| other patients | 4.0 : 4.0 M |" in alone and "| 0.700 : 0.600 | 4.0 : 4.0 M |" in among


def test_a_cross_validation_with_n4_stands_beside_that_without(project: Path) -> None:
    write_crossval(project, "one", cases_of="one")
    assert "N4)" not in page_of(project)
    place = write_crossval(project, "n4", cases_of="two", n4=True, data_hashes={"data/volumes": "corrected"})
    text = page_of(project)
    assert "| TwoPathCNN: one_n4, cross-validated over 3 patients |" in text
    assert "| TwoPathCNN: one, cross-validated over 3 patients |" in text
    assert "- one_n4: `python" in text and "bias field of T1 and T1c corrected (N4)" in text
    assert "- one_n4 minus one, Dice complete: -0.050 [" in text
    cases = pd.read_csv(place / "cases.csv")
    cases[cases["case"] != "A"].to_csv(place / "cases.csv", index=False)  # A is unseen here, so the cohort is another
    assert "one_n4" not in page_of(project)


def test_a_cross_validation_that_tells_its_scans_must_tell_the_pages(project: Path) -> None:
    columns = {"case": ["A"], "patient": ["A"], "voxels_hash": ["1"], "label_0": [5]}
    pd.DataFrame(columns).to_parquet(project / "data/cases.parquet")
    contract = {"n4": False, "clip": 0.01, "zscore": "brain", "axis": "axial"}
    for name in ("one", "two", "short", "plain_unet"):
        (project / f"models/{name}/model.json").write_text(json.dumps(contract))
    scans = {"voxels": scans_hash(project / "data/cases.parquet"), **contract}
    changes: dict[str, dict[str, object]] = {
        "the same": {}, "corrected": {"n4": True}, "others": {"voxels": "2"}, "clipped": {"clip": 0.02}
    }  # fmt: skip
    for what, changed in changes.items():
        place = write_crossval(project, "one", cases_of="one", data_hashes={}, scans={**scans, **changed}, **changed)
        assert ("cross-validated over" in page_of(project)) == (what in ("the same", "corrected")), what
        shutil.rmtree(place)
        shutil.rmtree(project / "docs/results/real/crossval")
