"""Fixtures for every test: tiny cohorts in a release's file layout, a seeded generator, the development scans."""

import os
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import nibabel
import numpy as np
import pytest
from processes import unmeasured_here

# A busy machine may take long for what a healthy one does at once; tests/test_waiting.py sets a limit of its own.
os.environ.setdefault("BRATS_CASCADE_LOGGING_SECONDS", "300")

# The orientation of BraTS NIfTI files: x and y run from right to left and from front to back.
BRATS_AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 13], [0, 0, 1.0, 0], [0, 0, 0, 1]])
SUFFIXES = ("flair", "t1", "t1ce", "t2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that in the end no worker computes alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Every test has its own seed, fixtures included: Keras draws the seeds of new weights from Python's generator.

    Among some hundred draws of a deep network's weights there is one with which all its outputs are the same.
    """
    random.seed(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """A test that is not marked as slow starts no Python of its own, or `make test-fast` would not stay fast."""
    start = subprocess.Popen.__init__

    def refuse_python(self: subprocess.Popen[Any], words: Any, *others: Any, **options: Any) -> None:
        program = Path(words[0] if isinstance(words, list | tuple) else str(words).split()[0]).name
        if program.startswith(("python", "dvc", "brats-cascade", "mlflow")):
            raise AssertionError(f"{item.nodeid} starts {program}: mark it as slow")
        start(self, words, *others, **options)

    if item.get_closest_marker("slow"):
        with unmeasured_here():
            return (yield)
    with mock.patch.object(subprocess.Popen, "__init__", refuse_python):
        return (yield)


@pytest.fixture(autouse=True)
def no_tracking_server() -> None:
    """MLflow leaves the address that it was last given in this variable, for whatever test comes next."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250505)


@pytest.fixture(scope="session")
def write_nifti_case() -> Callable[..., Path]:
    """A function that writes one tiny case in the layout of BraTS 2017-2020 and returns its folder.

    write_nifti_case(folder, name, *, seed=0, shape=(12, 14, 10), affine=BRATS_AFFINE, labels=(1, 2, 4), truth=True,
    omit=(), suffix=".nii.gz", dtype="int16")

    `folder` is the parent (give it as tmp_path / "HGG" for a high-grade case). The brain is an ellipsoid with
    intensities 50..899, different in every modality; each of `labels` fills a column of voxels inside it.
    `omit` names file suffixes that are left out ("t1ce"). Equal seeds give equal voxels.
    """
    return _write_nifti_case


def _write_nifti_case(
    folder: Path,
    name: str,
    *,
    seed: int = 0,
    shape: tuple[int, int, int] = (12, 14, 10),
    affine: np.ndarray = BRATS_AFFINE,
    labels: Sequence[int] = (1, 2, 4),
    truth: bool = True,
    omit: Sequence[str] = (),
    suffix: str = ".nii.gz",
    dtype: str = "int16",
) -> Path:
    generator = np.random.default_rng(seed)
    case = folder / name
    case.mkdir(parents=True)
    grid = np.indices(shape)
    centre = (np.array(shape) - 1).reshape(3, 1, 1, 1) / 2
    brain = (((grid - centre) / (centre - 0.4)) ** 2).sum(axis=0) <= 1
    for part in SUFFIXES:
        voxels = np.where(brain, generator.integers(50, 900, size=shape), 0).astype(dtype)
        if part not in omit:
            nibabel.Nifti1Image(voxels, affine).to_filename(case / f"{name}_{part}{suffix}")
    if truth:
        seg = np.zeros(shape, dtype="int16")
        for index, label in enumerate(labels):
            seg[4 + index, 5:8, 4:6] = label
        nibabel.Nifti1Image(np.where(brain, seg, 0).astype("int16"), affine).to_filename(case / f"{name}_seg{suffix}")
    return case


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the development scans; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the development scans are not here (../shared/data beside the checkout)")
    return folder


@pytest.fixture
def write_mha_case() -> Callable[..., Path]:
    """A function that writes one tiny case in the layout of BRATS 2013 and returns its folder.

    write_mha_case(folder, number, *, seed=0, shape=(12, 14, 10), truth=True): `folder` is for example
    tmp_path / "Image_Data" / "HG", `number` "0001". Five labels; the voxels are random, the type is MET_SHORT.
    """
    return _write_mha_case


def _write_mha_case(
    folder: Path, number: str, *, seed: int = 0, shape: tuple[int, int, int] = (12, 14, 10), truth: bool = True
) -> Path:
    import SimpleITK

    generator = np.random.default_rng(seed)
    case = folder / number
    parts = ["MR_Flair", "MR_T1", "MR_T1c", "MR_T2", *(["OT"] if truth else [])]
    for index, part in enumerate(parts):
        voxels = np.zeros(shape, dtype="int16")
        if part == "OT":
            voxels[3:8, 5:8, 4:6] = np.arange(5)[:, None, None]
        else:
            voxels[2:-2, 2:-2, 2:-2] = generator.integers(50, 900, size=[size - 4 for size in shape])
        image = SimpleITK.GetImageFromArray(voxels.transpose().copy())
        image.SetOrigin((0, -13, 0))
        stem = f"VSD.Brain_3more.XX.XX.{part}" if part == "OT" else f"VSD.Brain.XX.O.{part}"
        (case / stem).mkdir(parents=True)
        SimpleITK.WriteImage(image, str(case / stem / f"{stem}.{600 + index}.mha"))
    return case
