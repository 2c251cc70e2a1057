"""Files that have no end, wait for ever or unpack to more than they are: refused by type, size and header, before reading."""

import errno
import gzip
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from limits import no_more_files
from typer.testing import CliRunner

from brats_cascade import cli
from brats_cascade.commands import check
from brats_cascade.data import prepare
from brats_cascade.data.cases import find_cases
from brats_cascade.data.decathlon import read_channels
from brats_cascade.data.images import ImageError, read_header, read_image
from brats_cascade.data.ingest import ingest
from brats_cascade.data.listing import read_listing
from brats_cascade.data.prepare import PER_VOXEL, check_memory
from brats_cascade.data.writeback import read_scheme
from brats_cascade.errors import UserError
from brats_cascade.params import Recipe

VOXELS = 12 * 14 * 10
EMPTY = gzip.compress(b"")


@pytest.fixture(autouse=True)
def within_20_seconds():
    """A read that waits for ever fails instead."""

    def stop(*_):
        raise TimeoutError("still reading after 20 s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def bound_socket(path):
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # an address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path):
    os.truncate(path, 30 * 2**30)


def empty_members_first(path):
    path.write_bytes(EMPTY * 300_000 + path.read_bytes())


def declared(path, shape=(900, 900, 300)):
    """A few bytes whose header declares much."""
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[40:48] = struct.pack("<4h", 3, *shape)
    path.write_bytes(gzip.compress(bytes(data)))


# Beside the pipe, the device and the empty members of bad_inputs.py.
HOSTILE = {
    "socket": (bound_socket, "is a socket, expected a file"),
    "30 GiB of nothing": (sparse, "has 32212 MB, expected at most 2215 MB"),
    "300,000 empty members first": (empty_members_first, "more than 100 empty members"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_at_once_and_its_case_alone(tmp_path, write_nifti_case, kind):
    spoil, message = HOSTILE[kind]
    path = write_nifti_case(tmp_path / "in", "A") / "A_t1.nii.gz"
    write_nifti_case(tmp_path / "in", "B", seed=1)
    spoil(path)
    with pytest.raises(ImageError, match=message):
        read_image(path)
    table = ingest(
        find_cases(tmp_path / "in"),
        root=tmp_path / "store",
        kept=tmp_path / "kept",
        recipe=Recipe(clip=0.01),
        workers=1,
    )
    assert table["stored"].tolist() == [False, True]
    assert message in table["problem"][0] and str(path) in table["problem"][0]
    if not path.is_file():
        assert read_scheme(path) is None


def test_a_file_of_many_small_members_is_read(tmp_path):
    path = tmp_path / "a.nii.gz"
    voxels = np.arange(60_000, dtype="int16").reshape(60, 50, 20)
    raw = nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes()
    path.write_bytes(b"".join(gzip.compress(raw[at : at + 3]) for at in range(0, len(raw), 3)))
    began = time.perf_counter()
    np.testing.assert_array_equal(read_image(path).array, voxels)
    assert time.perf_counter() - began < 5  # 40,000 members; every one had copied the rest of the file


def test_a_header_is_read_without_the_voxels(tmp_path, write_nifti_case, write_mha_case):
    nifti = write_nifti_case(tmp_path, "A") / "A_t1.nii.gz"
    mha = next(write_mha_case(tmp_path / "HG", "0001").glob("*T1/*.mha"))
    for path in (nifti, mha):
        image, (header, size) = read_image(path), read_header(path)
        assert (header.shape, size) == (image.array.shape, path.stat().st_size)
        np.testing.assert_array_equal(header.affine, image.affine)
        assert header.memory == VOXELS * 2  # int16
    data = nifti.read_bytes()
    nifti.write_bytes(data[: len(data) // 2])
    assert read_header(nifti)[0].shape == (12, 14, 10)


def test_the_memory_of_a_case_is_estimated_from_its_headers(tmp_path, write_nifti_case):
    folder = write_nifti_case(tmp_path, "A", suffix=".nii", dtype="float32")
    (case,) = find_cases(tmp_path)
    stored = (folder / "A_t1.nii").stat().st_size
    expected = stored + VOXELS * (4 * 4 + nibabel.load(folder / "A_seg.nii").get_data_dtype().itemsize + PER_VOXEL)
    check_memory(case, max_gb=expected / 1e9)
    with pytest.raises(UserError, match=r"A_flair.nii: its case needs about 0.0 GB of memory \(12 x 14 x 10 voxels\)"):
        check_memory(case, max_gb=(expected - 1) / 1e9)
    with_float64 = write_nifti_case(tmp_path / "64", "A", dtype="float64") and find_cases(tmp_path / "64")[0]
    assert read_header(with_float64.images["t1"])[0].memory == VOXELS * (8 + 4)  # float32 is made of it


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_unread(tmp_path, write_nifti_case, monkeypatch):
    folder = write_nifti_case(tmp_path / "in", "A")
    for path in folder.iterdir():
        declared(path)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20_000
    monkeypatch.setattr(prepare, "read_image", None)  # nothing is read
    (case,) = find_cases(tmp_path / "in")
    for with_truth in (True, False):  # ingest and data check; predict
        with pytest.raises(
            prepare.CaseError,
            match=r"^A: .*A_flair.nii.gz: its case needs about 1[78]\.[05] GB of memory \(900 x 900 x 300 voxels\), "
            r"the limit is 3 GB; resample it, or raise ingest.max_gb \(--max-gb\)$",
        ):
            prepare.prepare_case(case, recipe=Recipe(clip=0.01), with_truth=with_truth)


def test_the_limit_holds_in_data_check_and_for_cases_that_were_ingested_before(tmp_path, write_nifti_case, monkeypatch):
    write_nifti_case(tmp_path / "in", "A")
    places = {"root": tmp_path / "store", "kept": tmp_path / "kept", "recipe": Recipe(clip=0.01), "workers": 1}
    assert ingest(find_cases(tmp_path / "in"), **places)["stored"].all()
    table = ingest(find_cases(tmp_path / "in"), **places, max_gb=1e-5)
    assert not table["stored"].any() and "the limit is 1e-05 GB" in table["problem"][0]
    asked = []
    monkeypatch.setattr(check, "survey", lambda cases, **options: asked.append(options["max_gb"]) or table)
    monkeypatch.setattr(check, "judge_cases", lambda *_, **__: sys.exit(3))
    for given, limit in (([], 3.0), (["--max-gb", "0.5"], 0.5)):
        assert CliRunner().invoke(cli.app, ["data", "check", str(tmp_path / "in"), *given]).exit_code == 3
        assert asked.pop() == limit


def test_no_open_files_left_is_not_the_fault_of_the_file(tmp_path, write_nifti_case):
    path = write_nifti_case(tmp_path, "A") / "A_t1.nii.gz"
    with no_more_files(), pytest.raises(OSError, match="Too many open files") as caught:
        read_image(path)
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize("where", ["..", "../b.raw", "/etc/hostname", "LIST", "b\0", "x" * 5000, "pipe", "folder"])
def test_voxels_of_an_mhd_lie_in_a_file_beside_it(tmp_path, where):
    folder = tmp_path / "in"
    (folder / "folder").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (tmp_path / "b.raw").write_bytes(bytes(8))
    path = folder / "a.mhd"
    path.write_text(f"NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = {where}\n")
    for read in (read_header, read_image):
        with pytest.raises(ImageError, match="its voxels should be in"):
            read(path)


def test_tables_beside_the_scans_are_bounded_too(tmp_path):
    os.mkfifo(tmp_path / "dataset.json")
    assert "is a named pipe, expected a file" in read_channels(tmp_path)[1]
    (tmp_path / "cases.csv").touch()
    os.truncate(tmp_path / "cases.csv", 30 * 2**30)
    with pytest.raises(UserError, match=r"cases\.csv: has 32212 MB, expected at most 134 MB"):
        read_listing(tmp_path / "cases.csv")
