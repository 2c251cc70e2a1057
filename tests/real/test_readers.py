"""The readers and the ingest on the development scans; figures from the files themselves, read by other means."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from brats_cascade.data.cases import find_cases
from brats_cascade.data.images import read_image, to_canonical
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.writeback import write_segmentation
from brats_cascade.params import Recipe

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cases(real_data):
    return {case.name: case for case in find_cases(real_data)}


def test_every_case_is_found_whole(cases):
    assert len(cases) == 25
    assert sum(case.grade == "low" for case in cases.values()) == 3
    assert all(len(case.images) == 4 and case.truth is not None and not case.problems for case in cases.values())
    assert {case.release for case in cases.values()} == {"brats2013", "brats2017", "brats2021"}
    assert len({case.patient for case in cases.values()}) == 25


@pytest.mark.slow
def test_voxels_and_geometry_are_nibabels(cases):
    case = cases["Brats18_TCIA10_628_1"]
    for path in (*case.images.values(), case.truth):
        ours, theirs = read_image(path), nibabel.load(path)
        np.testing.assert_array_equal(ours.array, np.asarray(theirs.dataobj))
        np.testing.assert_allclose(ours.affine, theirs.affine)


def test_slices_run_upwards_and_columns_to_the_right(cases):
    image = read_image(cases["Brats18_CBICA_ALU_1"].images["flair"])
    volume = to_canonical(image.array, affine=image.affine)
    assert volume.shape == (155, 240, 240)
    np.testing.assert_array_equal(volume, image.array.transpose(2, 1, 0)[:, ::-1, ::-1])


@pytest.mark.slow
def test_the_five_label_case_is_its_four_label_twin(cases, tmp_path):
    pair = [cases["HG_0006"], cases["Brats18_2013_20_1"]]
    first, second = (prepare_case(case, recipe=Recipe(clip=0.01)) for case in pair)
    assert first.meta["facts"]["voxels_hash"] == second.meta["facts"]["voxels_hash"]
    assert (first.meta["facts"]["labels"], second.meta["facts"]["labels"]) == ("0,1,2,3,4", "0,1,2,4")
    np.testing.assert_array_equal(first.image, second.image)
    assert first.meta["facts"]["tumour_cm3"] == second.meta["facts"]["tumour_cm3"]
    assert not any(first.outside.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HG_0006", "Brats18_TCIA13_623_1"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_the_truth_written_back_is_the_truth(cases, tmp_path, name, suffix):
    case = cases[name]
    prepared = prepare_case(case, recipe=Recipe(clip=0.01))
    write_segmentation(tmp_path / f"out{suffix}", prepared.labels, case=case, meta=prepared.meta)
    out, truth = (SimpleITK.ReadImage(str(path)) for path in (tmp_path / f"out{suffix}", case.truth))
    np.testing.assert_array_equal(SimpleITK.GetArrayViewFromImage(out), SimpleITK.GetArrayViewFromImage(truth))
    assert out.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    for what in ("Spacing", "Origin", "Direction"):
        np.testing.assert_allclose(getattr(out, f"Get{what}")(), getattr(truth, f"Get{what}")(), atol=1e-6)


@pytest.mark.slow
def test_z_scores_inside_the_brain(cases):
    prepared = prepare_case(cases["Brats18_TCIA10_637_1"], recipe=Recipe(clip=0.01))
    inside = prepared.image[prepared.brain]
    np.testing.assert_allclose(inside.mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(inside.std(axis=0, dtype=np.float64), 1, atol=1e-5)
    assert not prepared.image[~prepared.brain].any()
    assert 0.1 < prepared.meta["facts"]["brain_fraction"] < 0.25
