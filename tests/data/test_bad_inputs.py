"""Every bad input ends in one line that names the case; the rest is ingested; docs/bad-input.md shows the lines.

To write that page anew: UPDATE_DOCS=1 python -m pytest tests/data/test_bad_inputs.py
"""

import os
import shutil
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from bad_commands import command_lines
from bad_inputs import BAD, nifti, write_cohort
from layouts import tiny_volumes, write_layout
from left_out import LEFT_OUT

from brats_cascade.data.cases import find_cases, search
from brats_cascade.data.checks import judge_cases
from brats_cascade.data.ingest import ingest
from brats_cascade.data.store import list_cases
from brats_cascade.data.unused import by_reason
from brats_cascade.errors import UserError
from brats_cascade.params import Recipe

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"
GOOD = "Brats18_ABC_1"
STORED = {"no ground truth", "background that is not 0", "intensities beyond any scanner", "impossible spacing"}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Damage -> (case, reason), the table and the names in the store, after one ingest of everything."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("bad"))  # so that the messages hold relative paths
    try:
        names = write_cohort(Path("cohort").absolute())
        table = ingest(
            find_cases(Path("cohort")), root=Path("store"), kept=Path("kept"), recipe=Recipe(clip=0.01), workers=2
        )
        verdict = judge_cases(table, docs=Path("docs"))
        stored = list_cases(Path("store"))
        entries = sorted(entry.name for entry in Path("store").iterdir())
        # Again, over what is there: a case that has gone bad leaves the store, one that is good stays.
        again = ingest(
            find_cases(Path("cohort")), root=Path("store"), kept=Path("kept"), recipe=Recipe(clip=0.01), workers=1
        )
    finally:
        os.chdir(here)
    assert again.equals(table)
    reasons = dict(verdict.set_aside)
    return {what: (name, reasons[name]) for what, name in names.items()}, table, stored, entries, verdict


@pytest.mark.parametrize("what", BAD)
def test_the_reason_is_one_line_that_names_the_case(outcome, what):
    case, reason = outcome[0][what]
    assert case in reason and "\n" not in reason
    assert "Error" not in reason and "could not be ingested" not in reason  # no exception nobody thought of
    assert 30 < len(reason) < 400


def test_the_rest_is_ingested_and_no_case_is_partial(outcome):
    reasons, table, stored, entries, verdict = outcome
    assert entries == stored == sorted([GOOD, *(reasons[what][0] for what in STORED)])
    assert verdict.accepted == (GOOD,)
    assert len(table) == len(BAD) + 1  # the folder that contains itself is entered once


def test_no_permission_to_read(monkeypatch):
    """One file, and one whole folder, that this user may not read."""
    text, entries = unreadable(monkeypatch)
    assert "t1.nii.gz: cannot be read (Permission denied); check that it exists and its permissions" in text
    assert entries == [GOOD]


def unreadable(monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="brats-cascade-test-"))
    try:
        for place in ("good", "file", "folder"):
            images, labels = tiny_volumes()
            write_layout(folder / place, "brats2017", images=images, labels=labels)
            case = folder / place / "HGG" / GOOD
            if place != "good":
                for path in case.iterdir():
                    path.rename(path.with_name(path.name.replace("ABC", place)))
                case = case.rename(case.with_name(f"Brats18_{place}_1"))
            if place == "file":
                nifti(case, "t1").chmod(0)
            if place == "folder":
                case.chmod(0)
        folder.chmod(0o755)
        for name in ("store", "kept"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)
        monkeypatch.chdir(folder)
        root = os.geteuid() == 0
        if root:  # may read everything: become somebody else for a moment
            os.seteuid(65534)
        try:
            table = ingest(
                find_cases(Path()), root=Path("store"), kept=Path("kept"), recipe=Recipe(clip=0.01), workers=1
            ).set_index("case")
            entries = sorted(entry.name for entry in Path("store").iterdir())
        finally:
            if root:
                os.seteuid(0)
        assert table.index.tolist() == [GOOD, "Brats18_file_1"]  # what cannot be listed is told in the log
        return table.loc["Brats18_file_1", "problem"], entries
    finally:
        monkeypatch.undo()
        for path in folder.rglob("*_1"):
            path.chmod(0o700)
        shutil.rmtree(folder)


def test_a_folder_that_cannot_be_listed_is_told(monkeypatch, caplog):
    unreadable(monkeypatch)
    assert "Brats18_folder_1: its files cannot be listed (Permission denied)" in caplog.text


def folder_of_no_case(tmp_path):
    with pytest.raises(UserError) as caught:
        find_cases(tmp_path)
    return str(caught.value).replace(str(tmp_path), "cohort")


def test_a_folder_of_no_case(tmp_path):
    assert folder_of_no_case(tmp_path).startswith("cohort: no case found, and no volume; give the folder")


def left_out(folder, monkeypatch, write_nifti_case):
    """What is wrong -> what is told of volumes that belong to no case."""
    for number, (what, way) in enumerate(LEFT_OUT.items()):
        write_nifti_case(folder / f"{number}", "Brats18_B_1", seed=1)
        way(write_nifti_case(folder / f"{number}" / "cohort" / "HGG", "Brats18_A_1"))
        monkeypatch.chdir(folder / f"{number}")
        yield what, by_reason(search(Path()).unused)[0]


LISTED = "case,labels,flair,t1,t1c,t2,truth\n"
LISTINGS = {
    "another encoding": (LISTED + "Jörg,five,f,t,c,2,s\n").encode("cp1252"),
    "a row with too many values": (LISTED + "a,five,f,t,c,2,truth, corrected.nii\n").encode(),
    "another separator in a row than in the header": (LISTED + "a;five;f;t;c;2;s\n").encode(),
    "an unknown column": (LISTED.replace("truth", "seg") + "a,five,f,t,c,2,s\n").encode(),
    "no value in a column that is needed": (LISTED + "a,five,f,t,,2,s\n").encode(),
    "a scheme that does not exist": (LISTED + "a,brats,f,t,c,2,truth.nii.gz\n").encode(),
}


def listings(folder, monkeypatch):
    """What is wrong -> what is told of a listing."""
    for number, (what, content) in enumerate(LISTINGS.items()):
        (folder / f"{number}").mkdir(parents=True)
        monkeypatch.chdir(folder / f"{number}")
        _, labels = tiny_volumes()
        nibabel.Nifti1Image(np.where(labels == 3, 1, labels).astype("int16"), np.eye(4)).to_filename("truth.nii.gz")
        Path("cases.csv").write_bytes(content)
        with pytest.raises(UserError) as caught:
            find_cases(Path("cases.csv"))
        yield what, str(caught.value)


def test_the_page_is_up_to_date(outcome, tmp_path, monkeypatch, write_nifti_case):
    (tmp_path / "empty").mkdir()
    lines = [(what, reason) for what, (_, reason) in outcome[0].items()]
    lines.append(("a file without read permission", unreadable(monkeypatch)[0]))
    lines.append(("a folder with no case", folder_of_no_case(tmp_path / "empty")))
    told = listings(tmp_path / "listings", monkeypatch)
    left = left_out(tmp_path / "left", monkeypatch, write_nifti_case)
    (tmp_path / "commands").mkdir()
    monkeypatch.chdir(tmp_path / "commands")
    commands = command_lines(monkeypatch, write_nifti_case)
    parts = [
        *HEAD,
        *_rows(lines),
        *UNUSED,
        *_rows(left),
        *OF_LISTINGS,
        *_rows(told),
        *OF_COMMANDS,
        *_rows(commands),
        "",
    ]
    page = "\n".join(parts)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, "UPDATE_DOCS=1 python -m pytest tests/data/test_bad_inputs.py"


def _rows(lines):
    return [f"| {what} | {reason.replace('|', chr(92) + '|')} |" for what, reason in lines]


TABLE = ("| problem | message |", "|---|---|")
HEAD = (
    "# Error messages for invalid input",
    "",
    "Written by `UPDATE_DOCS=1 python -m pytest tests/data/test_bad_inputs.py`, a test that damages valid cases in each",
    "of these ways, ingests them beside a valid one, and fails if a message differs from the one listed here.",
    "",
    "An invalid case is excluded with a one-line reason and is not stored; the other cases are used. `brats-cascade data",
    "check PATH` prints the same lines without running the pipeline. Links to folders are followed, and cycles are",
    "detected. Names may contain spaces and non-ASCII letters. DVC hashes all files in `data.source` first. It fails on",
    "dangling links and unreadable files and hangs on pipes; `data check` reports these first ([data.md](data.md#layouts)).",
    "If disk space, memory or another resource runs out, no case is excluded ([data.md](data.md#if-resources-run-out)).",
    "",
    *TABLE,
)
OF_COMMANDS = (
    "",
    "## Commands, models and settings",
    "",
    "Each of these ends the command with exit status 1, except the first three, which are warnings without `--strict`.",
    "",
    *TABLE,
)
OF_LISTINGS = ("", "## Listings", "", *TABLE)
UNUSED = (
    "",
    "## Volumes that belong to no case",
    "",
    "Every volume in the folder is accounted for: it is used, it is excluded with its case, or it belongs to no case.",
    "`data check` prints the three counts; the pipeline writes them to `data/verdict.json` and `reports/data/index.html`.",
    "If no volume can be used, the error message consists of the first of these lines.",
    "",
    *TABLE,
)
