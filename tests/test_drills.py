"""The drills: they find faults that are planted, and their page says how often what was tried."""

import importlib
import os
import sys
from types import SimpleNamespace

import pytest
from drills import common, kills, page
from drills.common import Drill, Findings, Task
from drills.project import asked_for, drafts_in
from drills.table import DRILLS
from fuzzing import Tally

from brats_cascade.errors import UserError

main = importlib.import_module("drills.__main__")


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(common.provenance, "git_commit", lambda root: "c" * 40)
    return tmp_path


def test_the_page_says_how_often_what_was_tried(tmp_path, results) -> None:
    drills = {
        name: Drill(f"Title of {name}", "What is a fault.", Findings) for name in ("good", "bad", "rooted", "never")
    }
    good, bad = Findings(), Findings()
    good.add({"file": "a", "read": 9_000}, tried=9_000, faults=[])
    good.add({"file": "b"}, tried=1_000, faults=[])
    bad.add({"file": "a|b"}, tried=2, faults=["<svg> was read"])
    for name, found, reason in (("good", good, ""), ("bad", bad, ""), ("rooted", Findings(), "needs root")):
        common.write_record(name, task=Task(tmp_path, 7, 0.5), found=found, seconds=1.6, not_run=reason)
    text = "\n".join(page.page_lines(drills, records={name: common.read_record(name) for name in drills}))
    assert (
        "**1 fault in 10,002 attempts.**" in text
        and "**0 of 10,000.** `python -m drills good`, seed 7, share 0.5" in text
    )
    assert "| Title of good (`good`) | 10,000 | 0 | 2 |" in text and "| b |  | 1,000 | 0 |" in text
    assert "- a\\|b: &lt;svg> was read" in text and "commit ccccccc" in text
    assert "Not run: needs root." in text and "Not run: no record." in text


def test_what_has_a_record_of_this_commit_and_seed_is_not_run_again(tmp_path, results, monkeypatch) -> None:
    monkeypatch.setattr(main, "git_commit", lambda root: "c" * 40)
    common.write_record("done", task=Task(tmp_path, 1, 1.0), found=Findings(), seconds=1)
    same, other = SimpleNamespace(seed=1, share=1.0), SimpleNamespace(seed=2, share=1.0)
    assert main._is_done("done", same) and not main._is_done("done", other) and not main._is_done("never", same)
    monkeypatch.setattr(main, "git_commit", lambda root: "c" * 40 + "+changes")
    assert not main._is_done("done", same)


def test_every_drill_is_described() -> None:
    assert set(DRILLS) >= {"kill_stages", "disk", "trackers", "files", "network", "load", "fuzz_nifti", "fuzz_params"}
    assert all(drill.title and "fault" in drill.about.lower() for drill in DRILLS.values())


def test_a_reader_with_faults_is_found_out(tmp_path) -> None:
    path, tally = tmp_path / "a", Tally()

    def fails(error):
        raise error

    tally.attempt(lambda: 7, name="read", path=path)
    tally.attempt(lambda: fails(UserError(f"{path}: no")), name="refused", path=path)
    assert (tally.tried, tally.refused, tally.read, tally.faults) == (2, 1, 1, [])
    tally.attempt(lambda: fails(UserError("somewhere: no")), name="unnamed", path=path)
    tally.attempt(lambda: fails(KeyError("x")), name="traceback", path=path)
    tally.attempt(lambda: 7, name="wrong", path=path, wrong=lambda found: f"read {found}")
    assert [text.partition(":")[0] for text in tally.faults] == ["unnamed", "traceback", "wrong"] and tally.tried == 5


@pytest.mark.slow
def test_a_process_that_does_not_end_is_found_out_and_ended(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kills, "PATIENCE", 1.0)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )

    def ready(text):
        return "ready" in text

    found = kills.kill([sys.executable, "-c", deaf], cwd=tmp_path, way="SIGKILL to all", moment=0.0, ready=ready)
    assert (found.late, found.left, found.status, found.traceback) == (False, 0, -9, False)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {deaf!r}])"
    way = "SIGKILL to the first alone"
    found = kills.kill([sys.executable, "-c", parent], cwd=tmp_path, way=way, moment=0.0, ready=ready)
    assert found.left == 1
    found = kills.kill([sys.executable, "-c", "1 / 0"], cwd=tmp_path, way="Ctrl-C", moment=9.0, ready=ready)
    assert (found.late, found.status, found.traceback) == (True, 1, True)


@pytest.mark.slow
def test_addresses_that_a_process_asks_for_are_noted(tmp_path) -> None:
    from drills.project import run, watched

    asked = tmp_path / "asked.txt"
    code = "import contextlib, socket\nfor host in ('127.0.0.1', 'localhost', '192.0.2.1'):\n"
    code += "    with contextlib.suppress(OSError): socket.create_connection((host, 9), timeout=0.1)\n"
    assert run([sys.executable, "-c", code], cwd=tmp_path, **watched(asked)) == ("", 0)
    assert asked_for(asked) == ["socket.connect 192.0.2.1", "socket.getaddrinfo 192.0.2.1"]


def test_drafts_are_seen(tmp_path) -> None:
    from brats_cascade.shared import draft_for

    draft = draft_for(tmp_path / "sub/a.json")
    draft.touch()
    (tmp_path / ".gitignore").touch()
    assert drafts_in(tmp_path) == [f"sub/{draft.name}"] and str(os.getpid()) in draft.name
