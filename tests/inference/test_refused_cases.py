"""What the data check sets aside, predict refuses for the same reason."""

import dataclasses
from pathlib import Path

import nibabel
import numpy as np
import pytest
from predicting import run

from brats_cascade.data.cases import find_cases
from brats_cascade.data.checks import judge_cases
from brats_cascade.data.ingest import survey
from brats_cascade.errors import UserError
from brats_cascade.inference.predict import predict_case
from brats_cascade.inference.segment import Member
from brats_cascade.models.files import load_trained

NAME = "Brats18_A_1"


def change(case: Path, part: str, voxels, *, affine: np.ndarray | None = None) -> None:
    path = case / f"{NAME}_{part}.nii.gz"
    image = nibabel.load(path)
    new = voxels(np.asarray(image.dataobj))
    nibabel.Nifti1Image(new, image.affine if affine is None else affine).to_filename(path)


def air_that_is_not_0(case: Path) -> None:
    change(case, "t2", lambda voxels: (voxels + 10).astype(np.int16))


def voxels_of_40_mm(case: Path) -> None:
    for part in ("flair", "t1", "t1ce", "t2", "seg"):
        change(case, part, lambda voxels: voxels, affine=np.diag([-40.0, -40.0, 40.0, 1.0]))


def intensities_of_1e10(case: Path) -> None:
    change(case, "flair", lambda voxels: voxels.astype(np.float32) * 1e8)


def constant_t1(case: Path) -> None:
    change(case, "t1", lambda voxels: np.where(voxels > 0, 300, 0).astype(np.int16))


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [air_that_is_not_0, voxels_of_40_mm, intensities_of_1e10, constant_t1])
def test_for_the_same_reason(spoil, tmp_path, trained, write_nifti_case, capsys) -> None:
    case = write_nifti_case(tmp_path / "in", NAME)
    spoil(case)
    verdict = judge_cases(survey(find_cases(case), workers=1), docs=tmp_path / "docs")
    [(name, reason)] = verdict.set_aside
    assert name == NAME
    assert run([case], models=[str(trained())], out=tmp_path / "out") == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"error: {reason}".startswith(line)  # where the truth is wrong, too, the data check goes on


def test_a_constant_modality_is_refused_with_n4_too(tmp_path, trained, write_nifti_case) -> None:
    folder = write_nifti_case(tmp_path / "in", NAME)
    constant_t1(folder)
    # One voxel that differs is clipped away: N4 alone would make noise of the rest and call it an image.
    change(folder, "t1", lambda voxels: np.where(np.arange(voxels.size).reshape(voxels.shape) == 905, 999, voxels))
    [case] = find_cases(folder)
    network, contract = load_trained(trained())
    for n4 in (False, True):
        member = Member(network, dataclasses.replace(contract, n4=n4))
        with pytest.raises(UserError, match=r"t1: the intensities are constant \(300\)"):
            predict_case(case, members=[member])


def test_unknown_labels_in_a_truth_are_no_reason(tmp_path, trained, write_nifti_case, capsys) -> None:
    case = write_nifti_case(tmp_path / "in", NAME)
    change(case, "seg", lambda voxels: (voxels + 7).astype(np.int16))
    assert run([case], models=[str(trained())], out=tmp_path / "out") == 0
    assert "label" not in capsys.readouterr().err


def test_a_case_that_would_take_more_memory_than_the_limit_is_refused(
    tmp_path, trained, write_nifti_case, capsys
) -> None:
    case = write_nifti_case(tmp_path / "in", NAME)
    assert run([case], models=[str(trained())], out=tmp_path / "out", max_gb=1e-5) == 1
    assert "GB of memory (12 x 14 x 10 voxels), the limit is 1e-05 GB; resample it" in capsys.readouterr().err
