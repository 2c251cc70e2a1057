"""The table and the picture in README."""

import json
from pathlib import Path

import pytest
from material import write_crossval
from PIL import Image

from brats_cascade.commands.record import run
from brats_cascade.errors import UserError
from brats_cascade.record.readme import put_between


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
    write_crossval(project, "one", cases_of="one", experiment="older", note="at night")
    place = write_crossval(project, "n4", cases_of="two", n4=True, data_hashes={"data/volumes": "corrected"})
    record = json.loads((place / "summary.json").read_text())

    def shown(note: str) -> list[str]:
        (place / "summary.json").write_text(json.dumps(record))
        run("real", root=project, command="dvc repro", readme=True)
        text = (project / "README.md").read_text()
        words = f"the one with the most labelled pixels is shown, whatever it reached. {note} A row without the number"
        assert words in text
        rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
        return [row for row in rows if not row.startswith(("| paper", "| ---")) and row != "| "]

    others = ["| InputCascadeCNN: two", "| yardstick, plain U-Net: plain_unet"]
    took = "took 1 to 2 min on a computer."
    for pixels, longest, note in (
        (4e6, "one_n4", f"A fold of one_n4 {took}"),
        (2e6, "older", f"older: at night. A fold of older {took}"),
    ):  # beside 3e6
        for fold in record["folds"]:
            fold["labelled_pixels"] = pixels
        assert shown(note) == [*others, f"| TwoPathCNN: {longest}, cross-validated over 3 patients"]


def test_the_readme_says_how_long_a_fold_took_without_a_gpu_and_leaves_a_gpu_to_the_row(project: Path) -> None:
    place = write_crossval(project, "one", cases_of="one")
    record = json.loads((place / "summary.json").read_text())
    record["folds"][1] |= {"machine": "another computer", "seconds": 240}

    def written() -> str:
        (place / "summary.json").write_text(json.dumps(record))
        run("real", root=project, command="dvc repro", readme=True)
        return (project / "README.md").read_text()

    assert "A fold of one took 1 min on a computer and 4 min on another computer." in written()
    for fold in record["folds"]:
        fold["machine"] = "Xeon, 16 cores, 126 GiB, H200"
    text = written()
    assert "| 2.5 min, H200 | 3.0 M |" in text and "A fold of" not in text


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
