"""Random damage to sound files of every format: an ImageError or a volume, never anything else, soon and small."""

import gzip
import resource
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from fuzzing import damaged, fuzz
from layouts import LAYOUTS, tiny_volumes, write_layout

from brats_cascade.data.cases import find_cases
from brats_cascade.data.prepare import CaseError, prepare_case
from brats_cascade.errors import UserError

AFFINE = np.array([[-1.0, 0, 0, 12], [0, -2.0, 0, 239], [0, 0, 3.0, -7], [0, 0, 0, 1]])
FORMATS = ("a.nii", "b.nii.gz", "packed.nii.gz", "two.nii.gz", "four.nii.gz", "float.nii", "c.mha", "raw.mha")
MEGABYTES = 300


def sound_files(folder: Path) -> dict[str, bytes]:
    """One small sound file of each format, as bytes."""
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 900, size=(6, 7, 8)).astype("int16")
    whole = nibabel.Nifti1Image(voxels, AFFINE).to_bytes()
    images = {"a.nii": whole, "b.nii.gz": gzip.compress(whole, mtime=0), "packed.nii.gz": whole}
    images["two.nii.gz"] = gzip.compress(nibabel.Nifti2Image(voxels, AFFINE).to_bytes(), mtime=0)
    images["four.nii.gz"] = nibabel.Nifti1Image(np.stack([voxels] * 4, axis=-1), AFFINE).to_bytes()
    images["float.nii"] = nibabel.Nifti1Image(voxels.astype("float64"), AFFINE).to_bytes()
    for name, packed in (("c.mha", True), ("raw.mha", False)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(folder / name), useCompression=packed)
        images[name] = (folder / name).read_bytes()
    return images


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(
    ("rounds", "seed"), [(260, 1), pytest.param(800, 2, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_damaged_files_are_refused_or_read(tmp_path, capfd, rounds, seed):
    before = peak_megabytes()
    counts = fuzz(tmp_path, sound=sound_files(tmp_path), rounds=rounds, seed=seed)
    assert sum(counts.values()) == rounds * len(FORMATS) >= 2000
    assert min(counts.values()) > 0.02 * sum(counts.values())  # the damage is neither always nor never noticed
    assert peak_megabytes() - before < MEGABYTES
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["brats2012", "brats2017", "decathlon"])
def test_damage_anywhere_in_a_case_ends_in_a_case_error(tmp_path, rng, layout):
    images, labels = tiny_volumes(shape=(8, 9, 7))
    write_layout(tmp_path, layout, images=images, labels=labels)
    (case,) = find_cases(tmp_path)
    files = sorted({*case.images.values(), case.truth})
    kept = {path: path.read_bytes() for path in files}
    refused = 0
    for _ in range(120):
        path = files[rng.integers(0, len(files))]
        whole = path.suffix == ".gz"
        broken = damaged(gzip.decompress(kept[path]) if whole else kept[path], rng=rng)
        path.write_bytes(gzip.compress(broken, compresslevel=1) if whole else broken)
        try:
            prepare_case(case, clip=0.01)
        except CaseError as error:
            refused += 1
            assert case.name in str(error) and "\n" not in str(error)
        path.write_bytes(kept[path])
    assert refused > 30
    prepare_case(case, clip=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cases.csv", "cases.json", "dataset.json"])
def test_damaged_tables_are_refused_or_read(tmp_path, rng, name):
    layout = "decathlon" if name == "dataset.json" else "list"
    images, labels = tiny_volumes(shape=(8, 9, 7))
    write_layout(tmp_path, layout, images=images, labels=labels)
    if name == "cases.json":
        (tmp_path / "cases.csv").unlink()
        row = '{"case": "é", "labels": "five", "flair": "a", "t1": "b", "t1c": "c", "t2": "d", "truth": ""}'
        (tmp_path / name).write_text(f"[{row}]", encoding="utf-8")
    kept = (tmp_path / name).read_bytes()
    for _ in range(300):
        (tmp_path / name).write_bytes(damaged(kept, rng=rng))
        try:
            cases = find_cases(tmp_path)
        except UserError as error:
            assert str(tmp_path) in str(error) and "\n" not in str(error)
        else:
            assert all(case.release in (LAYOUTS[layout][0], "brats2017") for case in cases)
            assert all("\n" not in problem for case in cases for problem in case.problems)
