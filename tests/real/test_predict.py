"""A real case from its folder to a segmentation, pictures and scores: the two commands that a user runs."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from predicting import run as predict

from brats_cascade.commands.evaluate import run as evaluate

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_two_commands(real_data: Path, tmp_path: Path) -> None:
    from brats_cascade.models.build import build_model
    from brats_cascade.models.files import Contract, save_trained
    from brats_cascade.models.two_path import Style

    style = Style(width=0.03)
    contract = Contract("two_path", (0, 1, 2, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, None)
    save_trained(tmp_path / "model", network=build_model("two_path", classes=4, style=style), contract=contract)
    case = sorted((real_data / "brats2018" / "HGG").iterdir())[0]
    out = tmp_path / "out"
    assert predict([case], models=[str(tmp_path / "model")], out=out, kinds=["seg", "overlay", "montage"]) == 0
    found, truth = (nibabel.load(path) for path in (out / f"{case.name}_seg.nii.gz", case / f"{case.name}_seg.nii.gz"))
    assert found.shape == truth.shape == (240, 240, 155) and found.get_data_dtype() == "uint8"
    np.testing.assert_array_equal(found.affine, truth.affine)
    assert set(np.unique(np.asarray(found.dataobj))) <= {0, 1, 2, 4}
    written = {f"{case.name}_{kind}" for kind in ("seg.nii.gz", "overlay.png", "montage.png")}
    assert {path.name for path in out.iterdir()} == {*written, "volumes.csv"}
    text, failed = evaluate(case, prediction=out, out=tmp_path / "scores.json")
    assert failed == 0 and case.name in text
    [row] = json.loads((tmp_path / "scores.json").read_text())["cases"]
    voxels = int((np.asarray(truth.dataobj) > 0).sum())
    assert row["complete_truth_cm3"] == pytest.approx(voxels / 1000)
