"""What was ingested once is not ingested again: other parameters and back, other scans and back, damage, room, two at once."""

import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from imported import PACKAGE, modules_imported_by
from tiny import ROOT

import brats_cascade
from brats_cascade.data import ingest as module
from brats_cascade.data import kept as kept_module
from brats_cascade.data.cases import find_cases
from brats_cascade.data.ingest import ingest
from brats_cascade.data.kept import kept_cases, share_with_dvc, trim
from brats_cascade.data.store import list_cases, open_case, place_case
from brats_cascade.errors import UserError
from brats_cascade.params import Recipe, load_params
from brats_cascade.project import Project
from brats_cascade.stages import patches as patches_stage


@pytest.fixture
def cohort(tmp_path, write_nifti_case):
    for seed, name in enumerate("ABC"):
        write_nifti_case(tmp_path / "in", name, seed=seed)
    return tmp_path / "in"


@pytest.fixture
def made(monkeypatch):
    """The names of the cases that were made, not taken."""
    names: list[str] = []
    real = module.prepare_case

    def prepare_case(case, **recipe):
        names.append(case.name)
        return real(case, **recipe)

    monkeypatch.setattr(module, "prepare_case", prepare_case)
    return names


def run(cohort, *, clip=0.01, **options):
    root, kept = cohort.parent / "store", cohort.parent / "kept"
    return ingest(find_cases(cohort), root=root, kept=kept, recipe=Recipe(clip=clip), workers=1, **options)


def contents(store):
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def overwrite(path, *, at=-4):
    """Four bytes, in place: size and place in the folder stay."""
    with path.open("r+b") as file:
        file.seek(at, os.SEEK_END)
        file.write(b"\xff\x00\xff\x01")


def test_going_to_another_parameter_and_back_makes_nothing_again(cohort, made):
    first = run(cohort)
    before = contents(cohort.parent / "store")
    run(cohort, clip=0.2)
    assert made == [*"ABC", *"ABC"]
    shutil.rmtree(cohort.parent / "store")  # as DVC does before it runs a stage
    again = run(cohort)
    assert made == [*"ABC", *"ABC"]
    assert again.equals(first) and contents(cohort.parent / "store") == before
    run(cohort, clip=0.2)
    assert made == [*"ABC", *"ABC"] and open_case(cohort.parent / "store/B").meta["clip"] == 0.2


def test_a_change_of_the_reader_makes_every_case_again_and_going_back_none(cohort, made, monkeypatch, tmp_path):
    first = run(cohort)
    before = contents(cohort.parent / "store")
    shutil.copytree(PACKAGE, tmp_path / "changed", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "changed/data/_nifti.py").open("a") as file:
        file.write("# an edit\n")
    kept_module.made_with.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(brats_cascade, "__path__", [str(tmp_path / "changed")])
        run(cohort)
        assert made == [*"ABC", *"ABC"]
        assert contents(cohort.parent / "store") == before  # the code is not in the store: nothing after ingest reruns
    kept_module.made_with.cache_clear()
    assert run(cohort).equals(first) and made == [*"ABC", *"ABC"]


def test_the_code_of_a_kept_case_is_all_that_prepares_one():
    decisive = {*modules_imported_by("data/prepare.py"), "data/ingest.py"} - {"errors.py", "shapes.py", "shared.py"}
    decisive = {name for name in decisive if not name.startswith("params/")}  # the settings are in the key
    assert decisive == set(kept_module.SOURCES)


def test_a_patient_less_a_patient_more(cohort, made, write_nifti_case):
    run(cohort)
    (cohort / "B").rename(cohort.parent / "B")
    run(cohort)
    assert list_cases(cohort.parent / "store") == ["A", "C"]
    (cohort.parent / "B").rename(cohort / "B")
    write_nifti_case(cohort, "D", seed=7)
    run(cohort)
    assert list_cases(cohort.parent / "store") == [*"ABCD"] and made == [*"ABC", "D"]


@pytest.mark.parametrize("file", ["image.npy", "brain.npy", "labels.npy", "meta.json"])
@pytest.mark.parametrize("shared", [True, False])
def test_four_bytes_overwritten_are_noticed_and_the_case_is_made_again(cohort, made, caplog, file, shared):
    run(cohort)
    store, before = cohort.parent / "store", contents(cohort.parent / "store")
    if shared:  # the store's files are links to those kept: both are damaged
        overwrite(store / "B" / file, at=-40)
    else:  # DVC has put copies in their place: the kept ones are sound
        shutil.copytree(store / "B", store / "copy")
        shutil.rmtree(store / "B")
        (store / "copy").rename(store / "B")
        overwrite(store / "B" / file, at=-40)
    assert contents(store) != before
    run(cohort)
    assert contents(store) == before
    assert made == ([*"ABC", "B"] if shared else [*"ABC"])
    assert ("B: its kept files have changed" in caplog.text) == (shared and file != "meta.json")


def test_meta_that_says_something_else_is_not_believed(cohort, made):
    run(cohort)
    path = cohort.parent / "store/A/meta.json"
    before = path.read_bytes()
    meta = json.loads(before)
    meta["facts"]["brain_fraction"] += 0.125
    path.write_text(json.dumps(meta, indent=1, sort_keys=True))
    run(cohort)
    assert path.read_bytes() == before and made == [*"ABC", "A"]


def test_files_are_shared_not_copied(cohort):
    run(cohort)
    store, kept = cohort.parent / "store", cohort.parent / "kept"
    [(folder, _)] = kept_cases(kept, name="A")
    assert (folder / "image.npy").samefile(store / "A/image.npy")
    # As DVC commits: a file of its own in the cache, under its MD5, and a copy of it in the store.
    cache = cohort.parent / "cache"
    for name in "ABC":
        for path in list((store / name).iterdir()):
            md5 = hashlib.md5(path.read_bytes()).hexdigest()
            (cache / md5[:2]).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, cache / md5[:2] / md5[2:])
            (cache / md5[:2] / md5[2:]).chmod(0o444)
            shutil.copy(path, path.with_name("copy"))
            path.with_name("copy").replace(path)
    assert (folder / "image.npy").stat().st_nlink == 1
    share_with_dvc(kept, cache=cache)
    md5 = open_case(store / "A").meta["arrays"]["image.npy"]
    assert (folder / "image.npy").samefile(cache / md5[:2] / md5[2:])
    assert not list(kept.rglob(".*"))
    before = contents(store)
    shutil.rmtree(store)
    run(cohort)
    assert contents(store) == before


def test_without_hard_links_files_are_copied(cohort, made, monkeypatch):
    def refuse(self, target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    run(cohort)
    before = contents(cohort.parent / "store")
    shutil.rmtree(cohort.parent / "store")
    run(cohort)
    share_with_dvc(cohort.parent / "kept", cache=cohort.parent / "nowhere")
    assert contents(cohort.parent / "store") == before and made == [*"ABC"]


def test_what_was_not_used_for_longest_goes_first_and_what_is_used_stays(cohort):
    kept = cohort.parent / "kept"
    for number, clip in enumerate((0.1, 0.2, 0.3)):
        run(cohort, clip=clip)
        for folder in kept.glob("*/*"):
            if json.loads((folder / "meta.json").read_text())["clip"] == clip:
                os.utime(folder, (number, number))

    def clips():
        return Counter(meta["clip"] for name in "ABC" for _, meta in kept_cases(kept, name=name))

    size = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()) / 3e9
    run(cohort, clip=0.3, keep_gb=2.01 * size)
    assert clips() == {0.1: 3, 0.2: 3, 0.3: 3}
    run(cohort, clip=0.1, keep_gb=1.5 * size)  # of the others 0.3 was used last
    assert clips() == {0.1: 3, 0.3: 3, 0.2: 1}
    run(cohort, clip=0.2, keep_gb=0)
    assert clips() == {0.2: 3} and list_cases(cohort.parent / "store") == [*"ABC"]


def test_drafts_of_killed_processes_go_after_a_day_and_those_of_others_stay(tmp_path):
    for name in (".old", ".new"):
        (tmp_path / "A" / name).mkdir(parents=True)
        np.save(tmp_path / "A" / name / "image.npy", np.zeros(3))
    os.utime(tmp_path / "A/.old", (0, 0))
    trim(tmp_path, used=[], gigabytes=0)
    assert [path.name for path in (tmp_path / "A").iterdir()] == [".new"]


def test_a_case_that_another_process_takes_away_meanwhile_is_made(cohort, made, monkeypatch):
    run(cohort)
    kept = cohort.parent / "kept"
    shutil.rmtree(cohort.parent / "store")

    def place(source, root, *, name):
        if name == "B" and source.exists() and made.count("B") == 1:
            shutil.rmtree(source)
        return place_case(source, root, name=name)

    monkeypatch.setattr(module, "place_case", place)
    assert run(cohort)["stored"].all()
    assert made == [*"ABC", "B"] and len(list(kept_cases(kept, name="B"))) == 1


def test_every_file_of_a_volume_counts(tmp_path, made, write_mha_case):
    """An .mhd has its voxels in a file beside it."""
    case = write_mha_case(tmp_path / "Image_Data" / "HG", "0001")
    cohort, names = tmp_path / "in", ("fl", "t1", "t1c", "t2")
    cohort.mkdir()
    for name, part in zip(names, ("Flair", "T1", "T1c", "T2"), strict=True):
        image = SimpleITK.ReadImage(str(next(case.glob(f"*{part}/*.mha"))))
        SimpleITK.WriteImage(image, str(cohort / f"{name}.mhd"))
    (cohort / "cases.csv").write_text("case,labels,flair,t1,t1c,t2\nA,five,fl.mhd,t1.mhd,t1c.mhd,t2.mhd\n")
    assert run(cohort)["problem"].tolist() == [""]
    run(cohort)
    assert made == ["A"]
    voxels = np.fromfile(cohort / "t2.raw", dtype="int16")
    np.where(voxels > 0, voxels + 1, 0).astype("int16").tofile(cohort / "t2.raw")
    run(cohort)
    assert made == ["A", "A"]


def test_the_patches_stage_looks_for_dvcs_cache_in_the_project(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(patches_stage, "share_with_dvc", lambda kept, *, cache: seen.append((kept, cache)))
    with pytest.raises(UserError, match=r"splits\.json"):  # nothing is split yet
        patches_stage.patches(Project(tmp_path), load_params(ROOT / "params.yaml"))
    assert seen == [(tmp_path / ".work/ingest", tmp_path / ".dvc/cache/files/md5")]
