"""The page of results: every number comes from the files of the run, and nothing is said that was not measured."""

import json
import shutil
from pathlib import Path

from material import page_of, write_experiment


def test_the_page_says_where_its_numbers_come_from(project: Path) -> None:
    text = page_of(project)
    for part in (
        "`brats-cascade record real --command 'dvc repro'`", "commit abc", "Trained on a computer.", "data/volumes 123",
        "1 for train, 1 for validation, 3 for test; split once by seed 5", "The paper trained on 30", "four classes",
        "CC BY-NC-SA", "not as a ranking",
    ):  # fmt: skip
        assert part in text, part


def test_the_table_holds_scores_costs_and_the_papers_rows(project: Path) -> None:
    text = page_of(project)
    dice = " | ".join(["0.600 [0.10, 0.95]"] * 3)
    rest = "0.70 / 0.70 / 0.70 | 0.60 / 0.60 / 0.60 | 12.3 / 12.3 / 12.3"
    assert f"| TwoPathCNN: one | {dice} | 0.750 [0.10, 0.95] | {rest} | 1.5 min | 2.5 M | 3.5 s |" in text
    assert "| 3.0 min | 5.0 M | 3.5 s |" in text  # the cascade's training counts that of its CNN 1
    assert "| yardstick, plain U-Net: plain_unet | 0.650" in text
    assert "| paper: InputCascadeCNN, both phases | 0.88 | 0.79 | 0.73 |" in text


def test_experiments_that_were_not_trained_are_named(project: Path) -> None:
    assert "Not trained yet" not in page_of(project)
    (project / "params.yaml").write_text("experiments: {one: {}, two: {}, third: {}, short: {}, fourth: {}}\n")
    assert "Not trained yet: third, fourth." in page_of(project)


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
    assert "stages, from the files" not in page_of(project)  # that of plain_unet is missing
    note = {"stage": "train", "argument": "plain_unet", "seconds": 30.0, "peak_memory_mb": 10}
    (folder / "train-plain_unet.json").write_text(json.dumps(note))
    # five stages of 90 s and one of 30 s; the note of "gone" is of an earlier run
    assert "All 6 stages, from the files as released to the report: 8.0 min, at most 1.7 GB" in page_of(project)
    parts = "one 1.5 min, two 1.5 min, short 1.5 min, plain_unet 0.5 min; the stages around them: 3.0 min."
    assert parts in page_of(project)


def test_grades_stand_apart_with_intervals_where_there_are_three_patients(project: Path) -> None:
    text = page_of(project)
    assert "| one | all | 3 | complete | 0.600 [0.30, 0.90] | 0.90 [0.90, 0.90] |" in text
    assert "| one | high | 2 | enhancing | 0.750 | 0.90 | 0.75 | 20.0 |" in text
    assert "| one | low | 1 | core | 0.300 |" in text
    assert "| one | C | low | 0.300 | 0.300 | 0.300 | 20.0 | 3.5 |" in text


def test_the_yardstick_is_compared_patient_by_patient(project: Path) -> None:
    text = page_of(project)
    cell = "-0.100 [-0.100, -0.100]"
    assert f"| two | plain_unet | {cell} | {cell} | {cell} | 3.0 : 1.5 min | 5.0 : 2.5 M | 3.5 : 3.5 s |" in text


def test_only_what_was_measured_on_validation_is_said_to_help(project: Path) -> None:
    rule = "post-processing (removes components below 50 mm3)"
    text = page_of(project)
    assert f"| {rule} | two | 0.750 | 0.800 | +0.050 |" in text
    assert "Not measured: flips at test time, ensemble, N4 bias correction." in text
    (project / "reports/helps").mkdir()
    row = {"what": "flips at test time", "of": "two", "without": 0.7, "with": 0.71}
    for n4, dice in ((False, 0.7), (True, 0.68)):
        found = {"n4": n4, "cases": 1, "bare": {"two": dice}, "rows": [] if n4 else [row]}
        (project / f"reports/helps/{n4}.json").write_text(json.dumps(found))
    text = page_of(project)
    assert "| flips at test time | two | 0.700 | 0.710 | +0.010 |" in text
    assert "| N4 bias correction | two | 0.700 | 0.680 | -0.020 |" in text
    assert "Not measured: ensemble." in text
    shutil.rmtree(project / "reports/helps")
    assert page_of(project) == text  # kept beside the page
    kept = project / "docs/results/real/helps/False.json"
    assert not kept.exists()
    for path in kept.parent.iterdir():
        path.write_text(json.dumps({**json.loads(path.read_text()), "unseen": ["another"]}))
    assert "Not measured: flips at test time, ensemble, N4 bias correction." in page_of(project)


def test_experiments_that_differ_in_one_setting_are_compared(project: Path) -> None:
    assert "## What each choice brings" in page_of(project) and "One phase or two?" not in page_of(project)
    write_experiment(project, "single", architecture="input_cascade", validation=0.5, offset=-0.15)
    compared = {"experiments": {name: {} for name in ("short", "plain_unet", "two", "one", "single")}}
    (project / "reports/comparison.json").write_text(json.dumps(compared))
    text = page_of(project)
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
    text = page_of(project)
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
