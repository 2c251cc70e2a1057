import pickle

import pytest

from brats_cascade import MODALITIES
from brats_cascade.data.cases import find_cases
from brats_cascade.errors import UserError


def test_a_mixed_cohort_is_found_whole(tmp_path, write_nifti_case, write_mha_case):
    write_nifti_case(tmp_path / "new" / "HGG", "Brats18_2013_20_1")
    write_nifti_case(tmp_path / "new" / "LGG", "Brats18_TCIA10_628_1", suffix=".nii")
    write_nifti_case(tmp_path / "flat", "BraTS2021_00003", truth=False)
    write_mha_case(tmp_path / "old" / "Image_Data" / "LG", "0001")
    write_mha_case(tmp_path / "old" / "Synthetic_Data" / "LG", "0001")
    cases = find_cases(tmp_path)
    assert [(case.name, case.patient, case.grade, case.release, case.scheme) for case in cases] == [
        ("BraTS2021_00003", "BraTS2021_00003", "unknown", "brats2021", "merged"),
        ("Brats18_2013_20_1", "Brats18_2013_20", "high", "brats2017", "merged"),
        ("Brats18_TCIA10_628_1", "Brats18_TCIA10_628", "low", "brats2017", "merged"),
        ("LG_0001", "LG_0001", "low", "brats2013", "five"),
        ("simulated_LG_0001", "simulated_LG_0001", "low", "brats2013", "five"),
    ]
    assert all(tuple(case.images) == MODALITIES and not case.problems for case in cases)
    assert [case.truth is not None for case in cases] == [False, True, True, True, True]
    assert cases[1].images["t1c"].name == "Brats18_2013_20_1_t1ce.nii.gz"
    assert pickle.loads(pickle.dumps(cases)) == cases


def test_one_cases_own_folder_is_enough(tmp_path, monkeypatch, write_nifti_case, write_mha_case):
    folder = write_nifti_case(tmp_path / "HGG", "Brats18_A_1")
    assert [(case.name, case.grade) for case in find_cases(folder)] == [("Brats18_A_1", "high")]
    monkeypatch.chdir(folder)
    assert [(case.name, case.grade) for case in find_cases(folder.relative_to(folder))] == [("Brats18_A_1", "high")]
    old = write_mha_case(tmp_path / "Image_Data" / "HG", "0006")
    assert [(case.name, case.grade) for case in find_cases(old)] == [("HG_0006", "high")]


def test_a_missing_modality_is_named_with_its_cure(tmp_path, write_nifti_case):
    write_nifti_case(tmp_path, "Brats18_A_1", omit=("t1ce",))
    (case,) = find_cases(tmp_path)
    assert tuple(case.images) == ("flair", "t1", "t2")
    (problem,) = case.problems
    assert problem == (
        f"Brats18_A_1: t1c is missing: expected Brats18_A_1_t1ce.nii.gz in {tmp_path / 'Brats18_A_1'}; "
        "add the file or remove the case"
    )


def test_two_files_for_one_modality_are_both_named_and_neither_is_taken(tmp_path, write_nifti_case, write_mha_case):
    folder = write_nifti_case(tmp_path, "A")
    (folder / "A_t2.nii").write_bytes(b"")
    old = write_mha_case(tmp_path, "0001")
    truth = next(old.glob("*OT/*.mha"))
    truth.with_name("second.mha").write_bytes(truth.read_bytes())
    first, second = find_cases(tmp_path)
    assert "two files for truth" in first.problems[0]
    assert "second.mha" in first.problems[0]
    assert first.truth is None
    assert second.problems[0].startswith("A: two files for t2")
    assert "A_t2.nii and A_t2.nii.gz" in second.problems[0]
    assert "t2" not in second.images


def test_extra_files_are_not_taken_for_scans(tmp_path, write_nifti_case):
    folder = write_nifti_case(tmp_path, "A")
    for name in ("A_seg_predicted.nii.gz", "A_t1_mask.nii.gz", ".A_t1.nii.gz", "B_t1.nii.gz"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "predictions" / "A").mkdir(parents=True)
    (tmp_path / "predictions" / "A" / "A_seg.nii.gz").write_bytes(b"x")
    (case,) = find_cases(tmp_path)
    assert not case.problems
    assert case.truth == folder / "A_seg.nii.gz"


def test_equal_names_become_unique_and_that_is_said(tmp_path, caplog, write_nifti_case):
    for place in ("a/HGG", "b/HGG"):
        write_nifti_case(tmp_path / place, "Brats18_A_1", omit=("t2",))
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == ["Brats18_A_1.a_HGG", "Brats18_A_1.b_HGG"]
    assert {case.patient for case in cases} == {"Brats18_A"}
    assert [case.namesake for case in cases] == [str(tmp_path / f"{place}/HGG/Brats18_A_1") for place in "ba"]
    assert cases[0].problems[0].startswith("Brats18_A_1.a_HGG: t2 is missing")
    assert "2 cases have this name" in caplog.text


def test_a_patient_of_several_years_is_one_patient(tmp_path, write_nifti_case):
    names = ("BraTS19_CBICA_AAB_1", "Brats17_CBICA_AAB_1", "Brats18_CBICA_AAB_1", "Brats18_CBICA_AAG_1", "CBICA_AAC")
    for seed, name in enumerate(names):
        write_nifti_case(tmp_path / name[:7], name, seed=seed)
    patients = {case.name: case.patient for case in find_cases(tmp_path)}
    assert [patients[name] for name in names] == [*["Brats17_CBICA_AAB"] * 3, "Brats18_CBICA_AAG", "CBICA_AAC"]
    assert [case.patient for case in find_cases(tmp_path / "Brats18")] == ["Brats18_CBICA_AAB", "Brats18_CBICA_AAG"]


@pytest.mark.parametrize(("high", "low"), [("HG", "LG"), ("hg", "lg")])
def test_folders_of_grades_are_known_in_any_case(tmp_path, write_mha_case, high, low):
    for place in (high, low):
        write_mha_case(tmp_path / "Image_Data" / place, "0001", truth=False)
    found = [(case.name, case.patient, case.grade) for case in find_cases(tmp_path)]
    assert found == [(f"{high}_0001", f"{high}_0001", "high"), (f"{low}_0001", f"{low}_0001", "low")]


def test_equal_names_of_two_releases_get_the_release(tmp_path, write_nifti_case, write_mha_case):
    write_nifti_case(tmp_path / "x", "0001")
    write_mha_case(tmp_path / "y", "0001")
    assert [case.name for case in find_cases(tmp_path)] == ["0001.brats2013", "0001.brats2017"]


def test_links_are_followed_and_loops_end(tmp_path, write_nifti_case):
    write_nifti_case(tmp_path / "elsewhere", "A b é")
    source = tmp_path / "cohort"
    source.mkdir()
    (source / "link").symlink_to(tmp_path / "elsewhere")
    (source / "loop").symlink_to(source)
    assert [case.name for case in find_cases(source)] == ["A b é"]


def test_a_layout_may_be_forced(tmp_path, write_nifti_case, write_mha_case):
    write_nifti_case(tmp_path, "A")
    write_mha_case(tmp_path, "0001")
    assert [case.release for case in find_cases(tmp_path, layout="brats2013")] == ["brats2013"]
    words = r": expected auto, list or one of .*brats2013, .*received 'brats1999'"
    for from_params, key in ((False, "--layout"), (True, "data.layout")):
        with pytest.raises(UserError, match=key + words):
            find_cases(tmp_path, layout="brats1999", from_params=from_params)


def test_nothing_found_says_where_what_and_how(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no case found, .*; give the folder .*docs/data\.md"):
        find_cases(tmp_path / "empty")
    with pytest.raises(UserError, match=r"does not exist; set data\.source to"):
        find_cases(tmp_path / "absent", from_params=True)
    with pytest.raises(UserError, match=r"does not exist; give your"):  # predict has no data.source
        find_cases(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        find_cases(tmp_path / "file")
