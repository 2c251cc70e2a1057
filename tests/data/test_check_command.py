"""brats-cascade data check: the validate stage's verdict as a table, without a store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from layouts import LAYOUTS, tiny_volumes, write_layout
from typer.testing import CliRunner

from brats_cascade import cli
from brats_cascade.commands.check import run
from brats_cascade.data.cases import find_cases
from brats_cascade.data.checks import validate_cases
from brats_cascade.data.ingest import ingest, survey
from brats_cascade.data.stops import AGAIN, dvc_overlooks, dvc_stops_at
from brats_cascade.params import Recipe


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Every layout but the listing, a case without truth, one that is cut off, and one case under two names."""
    folder = tmp_path_factory.mktemp("mixed") / "cohort"
    for seed, layout in enumerate(LAYOUTS):
        if layout != "list":
            images, labels = tiny_volumes(seed=seed)
            write_layout(folder / layout, layout, images=images, labels=labels)
    images, labels = tiny_volumes(seed=50)
    for place, truth in (("x", labels), ("y", labels), ("z", None)):
        changed = {**images, "t1": images["t1"] + (images["t1"] > 0) * (place == "z")}
        write_layout(folder / place, "brats2017", images=changed, labels=truth)
        (folder / place / "HGG" / "Brats18_ABC_1").rename(folder / place / "HGG" / "Brats18_OLD_1")
        for path in (folder / place).rglob("*.nii.gz"):
            path.rename(path.with_name(path.name.replace("Brats18_ABC_1", f"Brats18_{place.upper()}_1")))
        path.parent.rename(path.parent.with_name(f"Brats18_{place.upper()}_1"))
    bad = folder / "brats2021/BraTS2021_00001/BraTS2021_00001_t2.nii.gz"
    bad.write_bytes(bad.read_bytes()[:200])
    return folder


def verdicts(text):
    """case -> (verdict, reason) of a wide table."""
    table = text.partition("\n\n")[0]
    lines = [line for line in table.splitlines()[1:] if not line.startswith(" ")]
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    return {row[0]: (row[6], row[7] if len(row) > 7 else "") for row in rows}


@pytest.mark.slow
def test_the_table_tells_what_the_validate_stage_decides(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    before = sorted(cohort.rglob("*"))
    text, bad = run(cohort, workers=1)
    assert sorted(cohort.rglob("*")) == before  # nothing is written there
    shown = verdicts(text)
    table = ingest(
        find_cases(cohort), root=tmp_path / "store", kept=tmp_path / "kept", recipe=Recipe(clip=0.01), workers=1
    )
    verdict = validate_cases(table, docs=tmp_path / "docs")
    assert set(shown) == set(table["case"])
    aside, warned = dict(verdict.set_aside), dict(verdict.warnings)
    assert {case for case, (word, _) in shown.items() if word in ("excluded", "prediction only")} == set(aside)
    assert {case for case, (word, _) in shown.items() if word == "warning"} == set(warned)
    for case, reason in {**aside, **warned}.items():
        assert shown[case][1] == reason.removeprefix(f"{case}: ")
    assert shown["Brats18_Z_1"] == ("prediction only", "no ground truth: can be segmented, but not used for training")
    assert shown["Brats18_Y_1"][0] == "excluded" and "same voxels as Brats18_X_1" in shown["Brats18_Y_1"][1]
    assert "truncated" in shown["BraTS2021_00001"][1]
    assert bad == 2
    assert "Mixed labels: 3 cases tell necrosis and non-enhancing tumour apart (first LG_0001" in text
    assert text.splitlines()[-1].startswith("12 cases: 8 usable for training (")
    assert text.splitlines()[-1].endswith("2 for prediction only, 2 excluded")
    (line,) = [line for line in text.splitlines() if line.startswith("Brats18_ABC_1")]
    assert line.split()[:6] == ["Brats18_ABC_1", "high", "brats2017", "10x14x12", "1x1x1", "0,1,2,4"]


def test_a_survey_is_the_ingests_table(cohort, tmp_path):
    cases = find_cases(cohort)
    stored = ingest(cases, root=tmp_path, kept=tmp_path / "kept", recipe=Recipe(clip=0.01), workers=1)
    looked = survey(cases, workers=1)
    assert not looked["stored"].any()
    assert looked.drop(columns="stored").equals(stored.drop(columns="stored"))


@pytest.mark.slow
def test_lines_of_the_table_stay_within_the_terminal(cohort, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table = run(cohort)[0].partition("\n\n")[0]
    assert "truncated" in table
    assert max(len(line) for line in table.splitlines()[1:]) <= 100  # the header is bold, which takes characters


@pytest.mark.slow
def test_all_bad_is_a_table_too_and_no_case_an_error(tmp_path):
    images, labels = tiny_volumes()
    write_layout(tmp_path / "in", "brats2013", images=images, labels=labels)
    for path in (tmp_path / "in").rglob("*.mha"):
        path.write_bytes(b"")
    text, bad = run(tmp_path / "in")
    assert bad == 1 and "0 usable" in text


@pytest.mark.slow
def test_the_command_line_exits_with_1_for_a_bad_case(cohort, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["data", "check", str(cohort)])
    assert done.exit_code == 1 and "2 excluded" in done.stdout and isinstance(done.exception, SystemExit)
    assert list(tmp_path.iterdir()) == []


def test_what_dvc_could_not_hash_is_told(monkeypatch, tmp_path):
    cohort, closed = tmp_path / "my cohort", tmp_path / "my cohort/HGG/closed.txt"
    closed.parent.mkdir(parents=True)
    closed.write_text("text")
    assert dvc_stops_at(cohort) == []
    (cohort / "one").symlink_to("gone")
    (cohort / "HGG/to itself").symlink_to("to itself")
    (cohort / "HGG/up").symlink_to("..")
    os.mkfifo(cohort / "pipe")
    (cohort / "zero").symlink_to("/dev/zero")
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed and real(path, mode))
    dead, unreadable, endless = dvc_stops_at(cohort)
    assert endless.startswith(f"2 special files (pipe, device or socket), first {cohort}/pipe: dvc repro would hang")
    (cohort / "pipe").unlink()
    (cohort / "zero").unlink()
    assert dead.startswith(f"2 dangling links, first {cohort}/one -> gone: dvc repro would stop there with [Errno 2]; ")
    assert unreadable.startswith(f"1 file without read permission, first {closed}: dvc repro would stop there with [")
    subprocess.run(["bash", "-ec", dead.split("remove them with: ")[1]], check=True)
    assert sorted(path.name for path in cohort.rglob("*")) == ["HGG", "closed.txt", "up"]
    (line,) = dvc_overlooks(cohort)
    assert line.startswith(
        f"1 link to a folder, first {cohort}/HGG/up -> ..: DVC does not hash files behind such links; link"
    )
    (cohort / "HGG/up").unlink()
    assert dvc_overlooks(cohort) == []
    (tmp_path / "cases.csv").write_text("case\n")
    assert dvc_stops_at(tmp_path / "cases.csv") == []
    (line,) = dvc_overlooks(tmp_path / "cases.csv")
    assert line.endswith("DVC hashes the listing, not the scans that it names; if these change, run: " + AGAIN)
