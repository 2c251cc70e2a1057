"""Every volume in a folder is accounted for: used, excluded, or listed with a reason."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from left_out import LEFT_OUT, renamed_folder, truth_alone

from brats_cascade.commands.check import run
from brats_cascade.data.cases import find_cases, search
from brats_cascade.data.checks import judge_cases
from brats_cascade.data.ingest import survey
from brats_cascade.errors import UserError


@pytest.mark.parametrize("way", LEFT_OUT.values(), ids=list(LEFT_OUT))
def test_what_is_left_out_is_told_beside_a_case_and_alone(tmp_path, write_nifti_case, way):
    count, reason = way(write_nifti_case(tmp_path / "in" / "HGG", "Brats18_A_1"))
    with pytest.raises(UserError) as caught:
        search(tmp_path / "in")
    told = (
        "contains ground truths (1) but no scans"
        if way is truth_alone
        else f"no case found; none of its volumes ({count})"
    )
    assert reason in str(caught.value) and told in str(caught.value)
    assert "\n" not in str(caught.value)
    write_nifti_case(tmp_path / "in", "Brats18_B_1", seed=1)
    found = search(tmp_path / "in")
    assert [case.name for case in found.cases] == ["Brats18_B_1"]
    assert len(found.unused) == count and all(reason in one.reason for one in found.unused)


@pytest.mark.slow
def test_the_counts_add_up_in_the_table_the_verdict_and_its_page(tmp_path, monkeypatch, write_nifti_case):
    monkeypatch.setenv("COLUMNS", "1000")
    source = tmp_path / "in"
    write_nifti_case(source, "A")
    write_nifti_case(source, "B", seed=1, truth=False)
    write_nifti_case(source, "C", seed=2, omit=("t2",))
    double = write_nifti_case(source, "D", seed=3)
    (double / "D_t1.nii").write_bytes(b"x")
    renamed_folder(write_nifti_case(source, "Brats18_A_1", seed=4))
    (double / "notes.txt").write_text("no volume")
    (double / ".hidden.nii.gz").write_bytes(b"x")
    (double / "D_mask.nii.gz").write_bytes(b"x")
    volumes = [path for path in source.rglob("*.nii*") if not path.name.startswith(".")]
    text, bad = run(source)
    assert bad == 2
    assert "25 volumes: 5 usable for training, 4 for prediction only, 10 excluded, 6 belonging to no case" in text
    assert len(volumes) == 25
    (line,) = [line for line in text.splitlines() if "Brats18_A_1" in line]
    first = source / "patient 1" / "Brats18_A_1_flair.nii.gz"
    assert line.startswith(f"not used: {first} and 4 more: it is expected in a folder called Brats18_A_1")

    found = search(source)
    table = survey(found.cases, workers=1)
    table.attrs = found.notes()
    table.to_parquet(tmp_path / "cases.parquet", index=False)  # as between the stages ingest and validate
    verdict = judge_cases(pd.read_parquet(tmp_path / "cases.parquet"), docs=tmp_path / "docs")
    kept = json.loads(json.dumps(verdict.as_dict()))
    assert kept["volumes"] == {"used": 5, "set_aside": 14, "not_used": 6}
    assert {Path(entry["file"]) for entry in kept["not_used"]} == {one.path for one in found.unused}
    assert all(path in {*(one.path for one in found.unused), *_files(found)} for path in volumes)
    page = (tmp_path / "docs" / "index.html").read_text()
    assert "6 volumes belong to no case" in page and "called Brats18_A_1" in page


def _files(found):
    return [path for case in found.cases for path in case.files]


@pytest.mark.slow
def test_many_reasons_are_cut_short_in_the_terminal_alone(tmp_path, write_nifti_case):
    write_nifti_case(tmp_path, "A")
    for number in range(23):
        (tmp_path / f"x{number}").mkdir()
        (tmp_path / f"x{number}" / f"y{number}_t1.nii.gz").write_bytes(b"x")
    text, _ = run(tmp_path)
    assert text.count("not used: ") == 21 and "not used: 3 more reasons" in text
    assert "23 belonging to no case" in text


def test_another_layout_than_the_one_asked_for_is_told(tmp_path, write_nifti_case, write_mha_case):
    write_nifti_case(tmp_path, "A")
    write_mha_case(tmp_path, "0001")
    unused = search(tmp_path, layout="brats2013").unused
    assert len(unused) == 5
    assert {one.reason for one in unused} == {
        "it is laid out as brats2017, but only brats2013 is looked for: set the layout to auto"
    }


def test_a_listing_accounts_for_the_files_that_it_leaves_out(tmp_path, write_nifti_case):
    write_nifti_case(tmp_path, "A")
    header = "case,labels,flair,t1,t1c,t2"
    row = "A,merged,A/A_flair.nii.gz,A/A_t1.nii.gz,A/A_t1ce.nii.gz,A/A_t2.nii.gz"
    (tmp_path / "cases.csv").write_text(f"{header}\n{row}\n")
    found = search(tmp_path)
    assert [len(case.files) for case in found.cases] == [4]
    assert [(one.path.name, one.reason) for one in found.unused] == [
        ("A_seg.nii.gz", "it is not in cases.csv: add it there")
    ]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_the_odd_truth_of_case_355_of_brats_2020_is_its_truth(tmp_path, write_nifti_case, suffix):
    folder = write_nifti_case(tmp_path, "BraTS20_Training_355", suffix=suffix)
    odd = folder / f"W39_1998.09.19_Segm{suffix}"
    (folder / f"BraTS20_Training_355_seg{suffix}").rename(odd)
    (case,) = find_cases(tmp_path)
    assert case.truth == odd and not case.problems
    assert survey([case], workers=1)["labels"].tolist() == ["0,1,2,4"]
    shutil.copy(odd, folder / f"BraTS20_Training_355_seg{suffix}")
    (case,) = find_cases(tmp_path)
    assert "two files for truth" in case.problems[0]
