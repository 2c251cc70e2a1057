"""Folds of a cross-validation that another machine trained once more."""

import json
from pathlib import Path

import pandas as pd
from material import page_of, with_specificity, write_crossval


def test_folds_trained_once_more_stand_beside_those_of_the_cross_validation(project: Path) -> None:
    fold = {"train": 2, "validation": 1, "validation_dice": 0.7, "seconds": 72, "labelled_pixels": 3e6}
    folds = [{**fold, "fold": number, "machine": "a computer"} for number in (0, 1)]
    place = write_crossval(project, "one", cases_of="one", folds=folds)
    cases = pd.read_csv(place / "cases.csv").assign(fold=[1, 0, 1])  # so the cases of the folds, in turn, are B, A, C
    cases.to_csv(place / "cases.csv", index=False)

    again = project / "docs/results/real/crossval/again/one"
    again.mkdir(parents=True)

    def once_more(number: int, *, seconds: float, machine: str, dice: float) -> None:
        row = {"fold": number, "seconds": seconds, "labelled_pixels": 5e6, "machine": machine, "git_commit": "def"}
        (again / f"fold{number}.json").write_text(json.dumps({"settings": "s", "row": row}))
        own = cases[cases["fold"] == number].drop(columns="fold")  # as keep_fold leaves it
        with_specificity(own).assign(complete_dice=dice, seconds=7.0).to_csv(
            again / f"fold{number}_cases.csv", index=False
        )

    once_more(1, seconds=240, machine="another", dice=0.3)
    took = "fold 1 on another, commit def: 4.0 min for 5.0 M labelled pixels, 7.0 s a case"
    line = f"- one, trained once more: {took}. Dice on the 2 unseen cases 0.300 / 0.600 / 0.600; in the"
    line += (
        " cross-validation 0.600 / 0.600 / 0.600. The difference between the two trainings, paired: -0.300 / +0.000 "
    )
    assert line in page_of(project, readme=True)
    words = "A fold of one took 1 min on a computer. Trained once more, a fold of one took 4 min on another."
    assert words in (project / "README.md").read_text()
    row = next(line for line in page_of(project).splitlines() if line.startswith("| TwoPathCNN: one, cross-validated"))
    assert "| 1.2 min | 3.0 M |" in row  # only the cross-validation itself counts
    assert "one trained once more" not in page_of(project)  # a row of its own would be of fewer cases

    once_more(0, seconds=300, machine="another", dice=0.6)
    told = "folds 0, 1 on another, commit def: 4.0 to 5.0 min for 5.0 M labelled pixels, 7.0 s a case. Dice on the 3 "
    text = page_of(project, readme=True)
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
    assert line in page_of(project, readme=True)
    words = "Trained once more, a fold of one took 5 min on a third and 4 min on another."
    assert words in (project / "README.md").read_text()
