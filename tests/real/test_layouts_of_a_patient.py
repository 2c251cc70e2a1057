"""One real five-label patient, written out in every layout: through data check, ingest and back."""

import numpy as np
import pytest
import SimpleITK
from layouts import LAYOUTS, write_layout

from brats_cascade import MODALITIES
from brats_cascade.commands.check import run
from brats_cascade.data.cases import find_cases
from brats_cascade.data.images import read_image
from brats_cascade.data.ingest import ingest
from brats_cascade.data.store import open_case
from brats_cascade.data.writeback import write_segmentation
from brats_cascade.labels import SCHEMES
from brats_cascade.params import Recipe

pytestmark = [pytest.mark.real, pytest.mark.slow]
FOLDER = {layout: ("own" if layout == "list" else "all") for layout in LAYOUTS}


@pytest.fixture(scope="module")
def cohort(real_data, tmp_path_factory):
    """The patient, every third voxel, brighter by a little in each layout so that no two are twins."""
    (case,) = find_cases(real_data / "brats2013_layout")
    scans = {part: read_image(path) for part, path in {**case.images, "truth": case.truth}.items()}
    affine = scans["truth"].affine @ np.diag([3, 3, 3, 1])
    voxels = {part: scan.array[::3, ::3, ::3] for part, scan in scans.items()}
    root = tmp_path_factory.mktemp("layouts")
    for number, layout in enumerate(LAYOUTS):
        images = {part: voxels[part] + number * (voxels[part] > 0) for part in MODALITIES}
        images = {part: image.astype("int16") for part, image in images.items()}
        write_layout(root / FOLDER[layout] / layout, layout, images=images, labels=voxels["truth"], affine=affine)
    return root, voxels["truth"]


def test_check_and_ingest_take_every_layout(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    root, truth = cohort
    text, bad = run(root / "all")
    assert bad == 0, text
    assert text.splitlines()[-1].startswith("9 cases: 8 usable for training (0 with a warning")
    assert text.count("note: spacing 3 x 3 x 3 mm") == 1
    assert run(root / "own" / "list")[1] == 0
    cases = [*find_cases(root / "all"), *find_cases(root / "own" / "list")]
    assert sorted(case.name for case in cases) == sorted(name for *_, name in LAYOUTS.values())
    table = ingest(
        cases, root=tmp_path / "store", kept=tmp_path / "kept", recipe=Recipe(clip=0.01), workers=2
    ).set_index("case")
    assert table["stored"].all()
    five = np.bincount(truth.ravel(), minlength=5)
    merged = {"merged": (1, 3), "merged-2023": (1, 3), "decathlon": (1, 3)}
    for case in cases:
        expected = five.copy()
        if case.scheme in merged:
            expected[1], expected[3] = five[1] + five[3], 0
        if case.scheme == "edema-core":
            expected[1:] = five[1] + five[3] + five[4], five[2], 0, 0
        assert table.loc[case.name, [f"label_{label}" for label in range(5)]].tolist() == expected.tolist()
        stored = open_case(tmp_path / "store" / case.name)
        out = tmp_path / f"{case.name}_seg.nii.gz"
        write_segmentation(out, np.asarray(stored.labels), case=case, meta=stored.meta)
        written, own = (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))) for path in (out, case.truth))
        np.testing.assert_array_equal(written, own)
        assert set(np.unique(written)) <= set(SCHEMES[case.scheme].to_canonical)


def test_the_real_cohort_through_the_check(real_data, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    text, bad = run(real_data, workers=2)
    assert bad == 1
    (line,) = [line for line in text.splitlines() if " excluded " in line and line.startswith("HG_0006")]
    assert "holds the same voxels as Brats18_2013_20_1, which is kept" in line
    assert text.splitlines()[-1].startswith("25 cases: 24 usable for training")
