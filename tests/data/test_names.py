"""Names of cases from outside: folders can be called anything."""

import logging
import os
from html.parser import HTMLParser

import pandas as pd
import pytest
from hostile_names import HOSTILE

from brats_cascade.data.cases import find_cases, search
from brats_cascade.data.checks import judge_cases
from brats_cascade.data.ingest import ingest, survey
from brats_cascade.data.names import LONGEST, safe_id
from brats_cascade.data.stops import dvc_stops_at
from brats_cascade.errors import UserError, start_log
from brats_cascade.evaluation.pairing import pair_labels
from brats_cascade.params import Recipe

SAFE = (
    "Brats18_TCIA01_425_1",
    "BraTS-GLI-00001-000",
    "BRATS_HG0001",
    "Smith-1",
    "case 7",
    "007",
    "A_1.a_HGG",
    "Müller",
    "患者1",
)


def test_safe_names_stay_and_others_become_ids_once() -> None:
    from mlflow.utils.validation import _validate_metric_name

    assert [safe_id(name) for name in SAFE] == list(SAFE)
    ids = [safe_id(name) for name in HOSTILE]
    assert len({*ids, *SAFE}) == len(HOSTILE) + len(SAFE)
    assert [safe_id(name) for name in ids] == ids  # a file that is named after an id belongs to it
    assert safe_id("50%") == "50-28fdae8deae3"  # on any machine, in any cohort
    assert safe_id("Mu\u0308ller") == "Müller"  # as macOS writes it
    for name in (*ids, *SAFE):
        assert len(name.encode()) <= LONGEST
        assert name[0] not in "=+-@."
        _validate_metric_name(f"slice_complete_f1/{name}")


class _Page(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}


@pytest.mark.slow
def test_a_cohort_with_hostile_names_is_ingested_and_its_pages_run_nothing(tmp_path, write_nifti_case) -> None:
    for seed, name in enumerate(HOSTILE):
        folder = tmp_path / "cohort" / ("HGG" if seed % 2 else '"><svg onload=alert(3)>')
        write_nifti_case(folder, name, seed=seed, omit=("t1ce",) if seed in (0, 1, 10) else ())
    found = search(tmp_path / "cohort")
    stores = {"root": tmp_path / "volumes", "kept": tmp_path / "kept"}
    table = ingest(found.cases, recipe=Recipe(clip=0.01), workers=1, **stores)
    assert int(table["stored"].sum()) == len(HOSTILE) - 3
    table.attrs = found.notes()
    table.to_parquet(tmp_path / "cases.parquet")
    again = pd.read_parquet(tmp_path / "cases.parquet")
    assert again.attrs["names"]["50-28fdae8deae3"] == "50%"
    assert len(again.attrs["names"]) == len(HOSTILE)
    verdict = judge_cases(again, docs=tmp_path / "docs")
    assert len(verdict.set_aside) == 3
    pages = list((tmp_path / "docs").rglob("*.html"))
    assert len(pages) >= 3
    for page in pages:
        seen = _Page(page.read_text(encoding="utf-8")).seen
        assert not seen & {"svg", "img", "script", "onload", "onerror"}, page
    entry = (tmp_path / "docs" / "index.html").read_text(encoding="utf-8")
    assert "&#34;&gt;&lt;svg onload=alert(1)&gt;" in entry  # the original name beside the id


def test_names_that_occur_again_are_told_apart_by_safe_names(tmp_path, write_nifti_case) -> None:
    for place in ('a"><svg onload=1>', "b"):
        write_nifti_case(tmp_path / place, "Brats18_A_1")
    names = [case.name for case in find_cases(tmp_path)]
    assert names == [safe_id(name) for name in names]
    assert len(set(names)) == 2
    assert "Brats18_A_1.b" in names


def test_a_name_that_is_the_id_of_another_is_no_trouble(tmp_path, write_nifti_case) -> None:
    write_nifti_case(tmp_path, "50%")
    write_nifti_case(tmp_path, safe_id("50%"))
    cases = find_cases(tmp_path)
    assert len({case.name for case in cases}) == 2
    assert {case.folder.name for case in cases} == {"50%", safe_id("50%")}


def test_folders_nested_without_end_do_not_stop_the_search(tmp_path, write_nifti_case, caplog) -> None:
    write_nifti_case(tmp_path, "A")
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    assert [case.name for case in find_cases(tmp_path)] == ["A"]
    assert "more than 100 folders deep" in caplog.text
    while (tmp_path / "d").exists():  # from the top, since pytest's own removal would end at the same limit
        (tmp_path / "d").rename(tmp_path / "old")
        if (tmp_path / "old" / "d").exists():
            (tmp_path / "old" / "d").rename(tmp_path / "d")
        (tmp_path / "old").rmdir()


def test_a_listing_may_hold_any_name_and_path(tmp_path) -> None:
    header = "case,patient,labels,flair,t1,t1c,t2\n"
    rows = [f"{name},=1+1,five,{'x' * 300},a\0b,c,d\n" for name in ("50%", "plain")]
    (tmp_path / "cases.csv").write_text(header + "".join(rows))
    first, second = find_cases(tmp_path)
    assert (first.name, first.called, second.name, second.called) == ("50-28fdae8deae3", "50%", "plain", "")
    assert first.patient == second.patient == safe_id("=1+1")
    assert len(first.problems) == 4


def test_segmentations_find_the_truth_of_a_case_by_its_name_or_its_id(tmp_path, write_nifti_case) -> None:
    for seed, name in enumerate(("50%", "=1+1")):
        write_nifti_case(tmp_path / "truth", name, seed=seed)
    out = tmp_path / "out"
    out.mkdir()
    for name in (safe_id("50%"), "=1+1"):
        (out / f"{name}_seg.nii.gz").write_bytes(b"")
    pairs = pair_labels(tmp_path / "truth", prediction=out)
    assert set(pairs.truths) == {safe_id("50%"), safe_id("=1+1")}
    assert not pairs.reasons


def test_nothing_that_a_terminal_would_obey_is_printed(tmp_path, write_nifti_case, capsys) -> None:
    name = "x\x1b[31m\x1b]0;t\x07" + os.fsdecode(b"\xfc")
    write_nifti_case(tmp_path / name, name, omit=("t2",))
    table = survey(find_cases(tmp_path), workers=1)
    text = [*table.loc[0, ["case", "folder", "problem"]], str(UserError(f"{tmp_path / name}: no"))]
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    root.handlers.clear()
    try:
        start_log(level="INFO", form="%(message)s")
        root.warning("%s\nsecond line", name)
    finally:
        root.handlers[:] = before
    text += capsys.readouterr().err.splitlines()
    text += dvc_stops_at(tmp_path)
    assert "4 files whose name is not UTF-8" in text[-1]
    assert len(text) == 7
    assert all(line.isprintable() for line in text)
    "".join(text).encode()
