"""The page of results: every number comes from the files of the run, and nothing is said that was not measured."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from brats_cascade.commands.record import run
from brats_cascade.errors import UserError
from brats_cascade.provenance import scans_hash
from brats_cascade.record.readme import put_between

ROOT = Path(__file__).parents[1]
REGIONS = ("complete", "core", "enhancing")
CASES = {"A": ("high", 0.9), "B": ("high", 0.6), "C": ("low", 0.3)}


def _region(dice: float) -> dict[str, float]:
    return {"dice": dice, "dice_low": 0.1, "dice_high": 0.95, "ppv": 0.7, "sensitivity": 0.6, "hd95": 12.3}


def _experiment(
    root: Path, name: str, *, architecture: str, validation: float, offset: float = 0.0, builds_on: str = "data/patches"
) -> None:
    """What train and evaluate leave; the Dice of every case is that of CASES plus the offset."""
    rule = {"min_component": 50, "skull_distance": 0, "flatness": 0, "skull_volume": 0}
    high = {**_region(0.75 + offset), "ppv": 0.5}
    files = {
        f"models/{name}/run.json": {
            "git_commit": "abc", "machine": "a computer", "release": "brats2017", "seconds": 90, "labelled_pixels": 2.5e6,
            "architecture": architecture, "builds_on": builds_on, "classes": [0, 1, 2, 4],
            "params": {"data.source": "scans", "train.phase2_steps": 0 if name == "short" else 9},
            "data_hashes": {"data/volumes": "123"},
        },
        f"models/{name}/model.json": {"n4": False},
        f"metrics/{name}.json": {
            **{region: _region(0.6 + offset) for region in REGIONS}, "enhancing_high_grade": high, "patients": 3,
            "validation": {"dice": validation, "dice_without": validation - 0.05, "cases": 1}, "postprocess": rule,
        },
    }  # fmt: skip
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content))
    rows = [
        {"case": case, "patient": case, "grade": grade, "seconds": 3.5}
        | {f"{region}_dice": dice + offset for region in REGIONS}
        | {f"{region}_ppv": 0.9 for region in REGIONS}
        | {f"{region}_sensitivity": dice for region in REGIONS}
        | {f"{region}_{size}": 20.0 for region in REGIONS for size in ("truth_cm3", "hd95")}
        for case, (grade, dice) in CASES.items()
    ]
    rows[2]["enhancing_truth_cm3"] = 0.4
    (root / f"metrics/{name}").mkdir()
    pd.DataFrame(rows).to_csv(root / f"metrics/{name}/cases.csv", index=False)
    nine = {"case": "A", "slice": range(40, 49), "complete_f1": 0.812, "earlier_work_pixel_agreement": 0.987}
    pd.DataFrame(nine).to_csv(root / f"metrics/{name}/nine_slices.csv", index=False)
    for rank in ("best", "median", "worst"):
        path = root / f"reports/figures/{name}/{rank}_overlay.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1800, 900)).save(path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    _experiment(tmp_path, "one", architecture="two_path", validation=0.7)
    _experiment(
        tmp_path, "two", architecture="input_cascade", validation=0.8, offset=-0.05, builds_on="models/one"
    )  # best on validation, not on test
    _experiment(tmp_path, "short", architecture="input_cascade", validation=0.6)
    _experiment(tmp_path, "plain_unet", architecture="unet", validation=0.85, offset=0.05)
    names = ("one", "two", "short", "plain_unet")
    (tmp_path / "metrics/comparison.json").write_text(json.dumps({"experiments": {name: {} for name in names}}))
    splits = {
        "seed": 5, "train": ["D", "E"], "validation": ["F"], "test": ["A", "B", "C"],
        "patients": {"train": ["D"], "validation": ["F"], "test": ["A", "B", "C"]},
    }  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data/splits.json").write_text(json.dumps(splits))
    (tmp_path / "README.md").write_text("before\n<!-- results:start -->old<!-- results:end -->\nafter\n")
    return tmp_path


def _page(project: Path, **changes) -> str:
    return run("real", root=project, command="dvc repro", **{"readme": False, **changes}).read_text()


def test_the_page_says_where_its_numbers_come_from(project: Path) -> None:
    text = _page(project)
    for part in (
        "`brats-cascade record real --command 'dvc repro'`", "commit abc", "Trained on a computer.", "data/volumes 123",
        "1 for train, 1 for validation, 3 for test; split once by seed 5", "The paper trained on 30", "four classes",
        "CC BY-NC-SA", "not as a ranking",
    ):  # fmt: skip
        assert part in text, part


def test_the_table_holds_scores_costs_and_the_papers_rows(project: Path) -> None:
    text = _page(project)
    dice = " | ".join(["0.600 [0.10, 0.95]"] * 3)
    rest = "0.70 / 0.70 / 0.70 | 0.60 / 0.60 / 0.60 | 12.3 / 12.3 / 12.3"
    assert f"| TwoPathCNN: one | {dice} | 0.750 [0.10, 0.95] | {rest} | 1.5 min | 2.5 M | 3.5 s |" in text
    assert "| 3.0 min | 5.0 M | 3.5 s |" in text  # the cascade's training counts that of its CNN 1
    assert "| yardstick, plain U-Net: plain_unet | 0.650" in text
    assert "| paper: InputCascadeCNN, both phases | 0.88 | 0.79 | 0.73 |" in text


def test_experiments_that_were_not_trained_are_named(project: Path) -> None:
    assert "Not trained yet" not in _page(project)
    (project / "params.yaml").write_text("experiments: {one: {}, two: {}, third: {}, short: {}, fourth: {}}\n")
    assert "Not trained yet: third, fourth." in _page(project)


def test_the_time_of_all_stages_is_told_where_each_left_a_note(project: Path) -> None:
    folder = project / ".work/cost"
    folder.mkdir(parents=True)
    for stage, name in [
        ("ingest", ""),
        ("phantom", ""),
        *(("train", name) for name in ("one", "two", "short", "gone")),
    ]:
        note = {"stage": stage, "argument": name, "seconds": 90.0, "peak_memory_mb": 1000 + 700 * (name == "two")}
        (folder / f"{stage}-{name}.json").write_text(json.dumps(note))
    assert "stages, from the files" not in _page(project)  # that of plain_unet is missing
    note = {"stage": "train", "argument": "plain_unet", "seconds": 30.0, "peak_memory_mb": 10}
    (folder / "train-plain_unet.json").write_text(json.dumps(note))
    # five stages of 90 s and one of 30 s; the note of "gone" is of an earlier run
    assert "All 6 stages, from the files as released to the report: 8.0 min, at most 1.7 GB" in _page(project)
    parts = "one 1.5 min, two 1.5 min, short 1.5 min, plain_unet 0.5 min; the stages around them: 3.0 min."
    assert parts in _page(project)


def test_results_of_earlier_runs_on_the_same_data_stay(project: Path, caplog) -> None:
    first = _page(project)
    shutil.rmtree(project / "reports/figures/two")
    for name in ("one", "two"):
        for path in (f"models/{name}/run.json", f"metrics/{name}.json", f"metrics/{name}/cases.csv"):
            (project / path).unlink()
    (project / "metrics/comparison.json").write_text(json.dumps({"experiments": {"short": {}, "plain_unet": {}}}))
    page = run("real", root=project, command="dvc repro again", readme=False).read_text()
    row = next(line for line in first.splitlines() if line.startswith("| InputCascadeCNN: two | 0.5"))
    assert row in page and "3.0 min" in row  # with the training of its CNN 1
    for line in first.splitlines():  # its nine slices and its patients, too
        assert line in page or not line.startswith(("| one |", "| two |", "| TwoPathCNN: one |")), line
    assert "`dvc repro` (one, two); `dvc repro again` (short, plain_unet)" in page
    assert "(real_two_median.jpg)" in page and (project / "docs/results/real_two_median.jpg").is_file()
    assert not caplog.text
    _experiment_data(project, "short", md5="other")
    _experiment_data(project, "plain_unet", md5="other")
    page = run("real", root=project, command="dvc repro again", readme=False).read_text()
    assert ": two |" not in page and "| two |" not in page and "| InputCascadeCNN: short |" in page
    assert "docs/results/real/two.json: of other data or other unseen cases" in caplog.text


def test_results_of_the_same_scans_stand_together_whatever_machine_ingested_them(project: Path, caplog) -> None:
    def lay(clip: float, *, md5: str) -> str:
        for name in ("one", "two", "short", "plain_unet"):
            _experiment_data(project, name, md5=md5)
            contract = {"n4": False, "clip": clip, "zscore": "brain", "axis": "axial"}
            (project / f"models/{name}/model.json").write_text(json.dumps(contract))
        return _page(project)

    columns = {"case": ["A"], "patient": ["A"], "voxels_hash": ["1"], "label_0": [5]}
    pd.DataFrame(columns).to_parquet(project / "data/cases.parquet")
    lay(0.01, md5="123")
    (project / "metrics/comparison.json").write_text(json.dumps({"experiments": {"one": {}}}))
    assert "| InputCascadeCNN: two |" in lay(0.01, md5="of another machine") and not caplog.text
    assert "| InputCascadeCNN: two |" not in lay(0.02, md5="123")  # the same scans, but clipped elsewhere
    assert "two.json: of other data" in caplog.text


def _experiment_data(root: Path, name: str, *, md5: str) -> None:
    path = root / f"models/{name}/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data_hashes": {"data/volumes": md5}}))


def test_grades_stand_apart_with_intervals_where_there_are_three_patients(project: Path) -> None:
    text = _page(project)
    assert "| one | all | 3 | complete | 0.600 [0.30, 0.90] | 0.90 [0.90, 0.90] |" in text
    assert "| one | high | 2 | enhancing | 0.750 | 0.90 | 0.75 | 20.0 |" in text
    assert "| one | low | 1 | core | 0.300 |" in text
    assert "| one | C | low | 0.300 | 0.300 | 0.300 | 20.0 | 3.5 |" in text


def test_the_yardstick_is_compared_patient_by_patient(project: Path) -> None:
    text = _page(project)
    cell = "-0.100 [-0.100, -0.100]"
    assert f"| two | plain_unet | {cell} | {cell} | {cell} | 3.0 : 1.5 min | 5.0 : 2.5 M | 3.5 : 3.5 s |" in text


def test_only_what_was_measured_on_validation_is_said_to_help(project: Path) -> None:
    rule = "post-processing (removes components below 50 mm3)"
    text = _page(project)
    assert f"| {rule} | two | 0.750 | 0.800 | +0.050 |" in text
    assert "Not measured: flips at test time, ensemble, N4 bias correction." in text
    (project / "reports/helps").mkdir()
    row = {"what": "flips at test time", "of": "two", "without": 0.7, "with": 0.71}
    for n4, dice in ((False, 0.7), (True, 0.68)):
        found = {"n4": n4, "cases": 1, "bare": {"two": dice}, "rows": [] if n4 else [row]}
        (project / f"reports/helps/{n4}.json").write_text(json.dumps(found))
    text = _page(project)
    assert "| flips at test time | two | 0.700 | 0.710 | +0.010 |" in text
    assert "| N4 bias correction | two | 0.700 | 0.680 | -0.020 |" in text
    assert "Not measured: ensemble." in text
    shutil.rmtree(project / "reports/helps")
    assert _page(project) == text  # kept beside the page
    kept = project / "docs/results/real/helps/False.json"
    assert not kept.exists()
    for path in kept.parent.iterdir():
        path.write_text(json.dumps({**json.loads(path.read_text()), "unseen": ["another"]}))
    assert "Not measured: flips at test time, ensemble, N4 bias correction." in _page(project)


def test_experiments_that_differ_in_one_setting_are_compared(project: Path) -> None:
    assert "## What each choice brings" in _page(project) and "One phase or two?" not in _page(project)
    _experiment(project, "single", architecture="input_cascade", validation=0.5, offset=-0.15)
    compared = {"experiments": {name: {} for name in ("short", "plain_unet", "two", "one", "single")}}
    (project / "metrics/comparison.json").write_text(json.dumps(compared))
    text = _page(project)
    assert "**One phase or two?**" in text
    sentence = "- short (phase2_steps 0) against single (phase2_steps 9): mean Dice complete 0.600 against 0.450;"
    assert (
        sentence in text or "- single (phase2_steps 9) against short (phase2_steps 0): mean Dice complete 0.450" in text
    )
    rows = [
        line.split(": ")[1].split(" |")[0] for line in text.splitlines() if line.startswith("| ") and " min | " in line
    ][:5]
    assert rows == ["one", "short", "two", "single", "plain_unet"]  # by architecture


def test_failures_nine_slices_and_pictures_of_every_architecture(project: Path) -> None:
    text = _page(project)
    assert "C is the worst case of 3 of the 3 networks below." in text
    assert "mostly tumour is missed (mean PPV 0.90, sensitivity 0.30)" in text
    assert "small in C (0.4 cm3)" in text and "high 0.75, low 0.30" in text
    assert "| A, slice | 40 | 41 |" in text and "| two: true F1 | 0.812 |" in text
    assert "| two: pixel agreement | 0.987 |" in text
    assert "| earlier work, InputCascade: pixel agreement | 0.925 |" in text and "that is the share of pixels" in text
    for name in ("one", "two", "plain_unet"):  # "short" is not the best of its architecture on validation
        for rank in ("best", "median", "worst"):
            assert f"![real_{name}_{rank}](real_{name}_{rank}.jpg)" in text
    assert "real_short" not in text


def test_the_readme_shows_the_table_and_the_champions_median_case(project: Path) -> None:
    run("real", root=project, command="dvc repro", readme=True)
    readme = (project / "README.md").read_text()
    assert readme.startswith("before\n") and readme.endswith("\nafter\n") and "old" not in readme
    assert (
        "| TwoPathCNN: one | 0.600 [0.10, 0.95]" in readme and "| InputCascadeCNN: two | 0.550 [0.10, 0.95]" in readme
    )
    assert "A row is over the 3 unseen ones of one split" in readme and "most labelled pixels" not in readme
    assert "short |" not in readme  # not the best of its architecture on validation
    assert (
        "docs/results/real_two_median.jpg" in readme
    )  # best on validation of the paper's networks; the yardstick is better
    with Image.open(project / "docs/results/real_two_median.jpg") as picture:
        assert picture.size == (900, 450)


def test_the_readme_prefers_the_longest_cross_validation_to_the_few_patients_of_the_split(project: Path) -> None:
    _crossval(project, "one", cases_of="one", experiment="older", note="at night")
    place = _crossval(project, "n4", cases_of="two", n4=True, data_hashes={"data/volumes": "corrected"})
    record = json.loads((place / "summary.json").read_text())

    def shown(note: str) -> list[str]:
        (place / "summary.json").write_text(json.dumps(record))
        run("real", root=project, command="dvc repro", readme=True)
        text = (project / "README.md").read_text()
        words = f"the one with the most labelled pixels is shown, whatever it reached. {note}A row without the number"
        assert words in text
        rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
        return [row for row in rows if not row.startswith(("| paper", "| ---")) and row != "| "]

    others = ["| InputCascadeCNN: two", "| yardstick, plain U-Net: plain_unet"]
    for pixels, longest, note in ((4e6, "one_n4", ""), (2e6, "older", "older: at night. ")):  # beside 3e6
        for fold in record["folds"]:
            fold["labelled_pixels"] = pixels
        assert shown(note) == [*others, f"| TwoPathCNN: {longest}, cross-validated over 3 patients"]


@pytest.mark.parametrize(
    "text", ["no marks\n", "<!-- results:start -->\n", "<!-- results:end --> <!-- results:start -->\n"]
)
def test_a_readme_without_its_marks_is_left_as_it_is(project: Path, text: str) -> None:
    (project / "README.md").write_text(text)
    with pytest.raises(
        UserError, match=r"README\.md: expected the marks <!-- results:start --> and <!-- results:end -->"
    ):
        run("real", root=project, command="dvc repro", readme=True)
    assert (project / "README.md").read_text() == text


def test_a_part_of_the_readme_can_be_written_again_and_leaves_the_others(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(
        "a\n<!-- speed:start --><!-- speed:end -->\nb\n<!-- results:start -->kept<!-- results:end -->\nc\n"
    )
    for lines in (["first", "second"], ["third"]):
        put_between(readme, part="speed", lines=lines)
    assert readme.read_text() == (
        "a\n<!-- speed:start -->\nthird\n<!-- speed:end -->\nb\n<!-- results:start -->kept<!-- results:end -->\nc\n"
    )


def _scored(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases with the one column of a real table that those of an experiment here lack."""
    return cases.assign(**{f"{region}_specificity": 0.99 for region in REGIONS})


def _crossval(project: Path, folder: str, *, cases_of: str, **summary: object) -> Path:
    """What `pipelines/crossval.py` leaves, with the cases of an experiment."""
    place = project / "reports/crossval" / folder
    place.mkdir(parents=True)
    shutil.copy(project / f"metrics/{cases_of}/cases.csv", place)
    fold = {"train": 2, "machine": "a computer", "labelled_pixels": 3e6, "validation": 1, "validation_dice": 0.7}
    record = {
        "experiment": "one", "architecture": "two_path", "git_commit": "abc", "data_hashes": {"data/volumes": "123"},
        "folds": [{**fold, "fold": 0, "seconds": 60}, {**fold, "fold": 1, "seconds": 90}],
        "scores": {**{region: _region(0.456) for region in REGIONS}, "enhancing_high_grade": _region(0.567)},
    }  # fmt: skip
    (place / "summary.json").write_text(json.dumps({**record, **summary}))
    return place


def test_a_cross_validation_is_shown_when_it_is_there(project: Path, caplog) -> None:
    assert "Cross-validation" not in _page(project)
    place = _crossval(project, "one", cases_of="one")
    text = _page(project)
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
    assert _page(project) == text  # kept beside the page
    for name in ("one", "two", "short", "plain_unet"):
        _experiment_data(project, name, md5="other")
    assert "Cross-validation" not in _page(project)
    assert "crossval/one.json: of other data than this run's" in caplog.text


def test_a_cross_validation_of_other_data_is_left_out_from_the_start(project: Path) -> None:
    _crossval(project, "one", cases_of="one", data_hashes={"data/volumes": "other"})
    assert "ross-validat" not in _page(project)


def test_the_best_on_validation_is_compared_with_the_others_patient_by_patient(project: Path) -> None:
    _crossval(project, "one", cases_of="one", note="at night")
    fold = {"fold": 0, "train": 2, "validation": 1, "seconds": 90, "labelled_pixels": 4e6}
    fold |= {"machine": "Xeon, 16 cores, 126 GiB, H200"}
    unet = {"experiment": "plain_unet", "architecture": "unet", "precision": "bfloat16"}
    _crossval(project, "unet", cases_of="plain_unet", folds=[{**fold, "validation_dice": 0.8}], **unet)
    text = _page(project)  # the U-Net's Dice is 0.05 higher in every case
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
    _crossval(project, "one", cases_of="one", folds=[fold])
    _crossval(project, "two", cases_of="two", experiment="two", folds=[{**fold, "validation_dice": 0.6}])
    later = {**fold, "validation_cases": ["D"], "validation_dice": 0.9}
    _crossval(project, "short", cases_of="short", experiment="short", folds=[later])
    text = _page(project)
    assert (
        "Of those on scans as they are with the same validation patients, one has the highest mean Dice on these"
        in text
    )
    assert "No other one on scans as they are has the validation patients of short, so validation does not rank" in text
    _, among, alone = text.partition("\n## Cross-validations\n")[2].split(" minus | ")
    assert [line.split(" | ")[0] for line in among.splitlines() if " : " in line] == ["| two"]
    assert [line.split(" | ")[0] for line in alone.splitlines() if " : " in line] == ["| one"]
    assert "| other patients | 4.0 : 4.0 M |" in alone and "| 0.700 : 0.600 | 4.0 : 4.0 M |" in among


def test_folds_trained_once_more_stand_beside_those_of_the_cross_validation(project: Path) -> None:
    fold = {"train": 2, "validation": 1, "validation_dice": 0.7, "seconds": 72, "labelled_pixels": 3e6}
    folds = [{**fold, "fold": number, "machine": "a computer"} for number in (0, 1)]
    place = _crossval(project, "one", cases_of="one", folds=folds)
    cases = pd.read_csv(place / "cases.csv").assign(fold=[1, 0, 1])  # so the cases of the folds, in turn, are B, A, C
    cases.to_csv(place / "cases.csv", index=False)

    again = project / "docs/results/real/crossval/again/one"
    again.mkdir(parents=True)

    def once_more(number: int, *, seconds: float, machine: str, dice: float) -> None:
        row = {"fold": number, "seconds": seconds, "labelled_pixels": 5e6, "machine": machine, "git_commit": "def"}
        (again / f"fold{number}.json").write_text(json.dumps({"settings": "s", "row": row}))
        own = cases[cases["fold"] == number].drop(columns="fold")  # as keep_fold leaves it
        _scored(own).assign(complete_dice=dice, seconds=7.0).to_csv(again / f"fold{number}_cases.csv", index=False)

    once_more(1, seconds=240, machine="another", dice=0.3)
    took = "fold 1 on another, commit def: 4.0 min for 5.0 M labelled pixels, 7.0 s a case"
    line = f"- one, trained once more: {took}. Dice on the 2 unseen cases 0.300 / 0.600 / 0.600; in the"
    line += (
        " cross-validation 0.600 / 0.600 / 0.600. The difference between the two trainings, paired: -0.300 / +0.000 "
    )
    assert line in _page(project, readme=True)
    assert "Trained once more, a fold of one took 4 min on another." in (project / "README.md").read_text()
    row = next(line for line in _page(project).splitlines() if line.startswith("| TwoPathCNN: one, cross-validated"))
    assert "| 1.2 min | 3.0 M |" in row  # only the cross-validation itself counts
    assert "one trained once more" not in _page(project)  # a row of its own would be of fewer cases

    once_more(0, seconds=300, machine="another", dice=0.6)
    told = "folds 0, 1 on another, commit def: 4.0 to 5.0 min for 5.0 M labelled pixels, 7.0 s a case. Dice on the 3 "
    text = _page(project, readme=True)
    assert told in text
    for page in (text, (project / "README.md").read_text()):
        start = "| TwoPathCNN: one trained once more, cross-validated over 3 patients | "
        cells = page.partition(start)[2].partition(" |\n")[0].split(" | ")
        # Complete 0.6 in fold 0 and 0.3 in both cases of fold 1; the others as before: 0.9, 0.6 and, of low grade, 0.3.
        # Three patients: the interval reaches from the lowest to the highest.
        assert cells[:4] == ["0.400 [0.30, 0.60]", "0.600 [0.30, 0.90]", "0.600 [0.30, 0.90]", "0.750"]
        assert cells[-3:] == ["4.5 min", "5.0 M", "7.0 s"]
    assert "| one trained once more | all | 3 | complete | 0.400 [0.30, 0.60] |" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| one trained once more | ")]
    patients = [cells[1:4] for cells in rows if cells[1] in "ABC"]
    assert patients == [["A", "high", "0.300"], ["B", "high", "0.600"], ["C", "low", "0.300"]]
    assert "Trained once more, a fold of one took 4 to 5 min on another." in (project / "README.md").read_text()

    once_more(0, seconds=300, machine="a third", dice=0.6)
    both = f"fold 0 on a third, commit def: 5.0 min for 5.0 M labelled pixels, 7.0 s a case; {took}"
    line = f"- one, trained once more: {both}. Dice on the 3 unseen cases 0.400 / 0.600 / 0.600; in the"
    assert line in _page(project, readme=True)
    words = "Trained once more, a fold of one took 5 min on a third and 4 min on another."
    assert words in (project / "README.md").read_text()


def test_a_cross_validation_with_n4_stands_beside_that_without(project: Path) -> None:
    _crossval(project, "one", cases_of="one")
    assert "N4)" not in _page(project)
    place = _crossval(project, "n4", cases_of="two", n4=True, data_hashes={"data/volumes": "corrected"})
    text = _page(project)
    assert "| TwoPathCNN: one_n4, cross-validated over 3 patients |" in text
    assert "| TwoPathCNN: one, cross-validated over 3 patients |" in text
    assert "- one_n4: `python" in text and "bias field of T1 and T1c corrected (N4)" in text
    assert "- one_n4 minus one, Dice complete: -0.050 [" in text
    cases = pd.read_csv(place / "cases.csv")
    cases[cases["case"] != "A"].to_csv(place / "cases.csv", index=False)  # A is unseen here, so the cohort is another
    assert "one_n4" not in _page(project)


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
        place = _crossval(project, "one", cases_of="one", data_hashes={}, scans={**scans, **changed}, **changed)
        assert ("cross-validated over" in _page(project)) == (what in ("the same", "corrected")), what
        shutil.rmtree(place)
        shutil.rmtree(project / "docs/results/real/crossval")


def test_without_results_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run `dvc repro` first.* with --kept"):
        run("real", root=tmp_path, command="", readme=False)
    with pytest.raises(
        UserError, match=r"page.json: not found: no results were kept there; `brats-cascade record real` without"
    ):
        run("real", root=tmp_path, command="", readme=False, kept=True)


def test_the_page_of_kept_results_is_that_of_the_run(project: Path, tmp_path: Path) -> None:
    (project / "metrics/comparison.json").write_text(
        json.dumps({"experiments": {"two": {}, "one": {}}, "baseline": {"complete": _region(0.678)}})
    )
    (project / "params.yaml").write_text("experiments: {one: {}, two: {}, untrained: {}}\n")
    whole = _page(project)
    assert "| best threshold on one modality, 3 patients | 0.678 |" in whole and "Not trained yet: untrained." in whole
    for gone in ("metrics", "models", "data", "params.yaml", "reports"):
        path = project / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = _page(project, kept=True)
    own = "Written by `brats-cascade record real --command 'dvc repro'` from"
    assert again == whole.replace(own, "Written by `brats-cascade record real --kept` from") != whole


def test_a_new_cross_validation_joins_the_kept_results(project: Path) -> None:
    _page(project)
    _crossval(project, "one", cases_of="one")
    for gone in ("metrics", "models", "data"):
        shutil.rmtree(project / gone)
    assert "| TwoPathCNN: one, cross-validated over 3 patients |" in _page(project, kept=True)
    shutil.rmtree(project / "reports")
    assert "| TwoPathCNN: one, cross-validated over 3 patients |" in _page(project, kept=True)  # and is kept itself


def test_the_page_in_git_is_what_its_kept_results_give(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs/results", tmp_path / "docs/results")
    shutil.copy(ROOT / "README.md", tmp_path)
    page = run("real", root=tmp_path, command="", readme=True, kept=True)

    def numbers(path: Path) -> list[str]:
        return [line for line in path.read_text().splitlines() if not line.startswith("Written by ")]

    assert numbers(page) == numbers(ROOT / "docs/results/real.md")
    assert (tmp_path / "README.md").read_text() == (ROOT / "README.md").read_text()
