"""Every layout, from files to the store and back: written-out samples of all releases."""

import gzip
import json
import shutil

import nibabel
import numpy as np
import pytest
import SimpleITK
from layouts import LAYOUTS, paths, tiny_volumes, write_layout

from brats_cascade import MODALITIES
from brats_cascade.commands.check import run
from brats_cascade.data.cases import find_cases
from brats_cascade.data.ingest import ingest
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.store import open_case
from brats_cascade.data.writeback import write_segmentation
from brats_cascade.errors import UserError
from brats_cascade.labels import REGIONS, SCHEMES, recode, region_mask
from brats_cascade.params import Recipe

# x runs along -z, y along x, z along y; spacings of their own.
SWAPPED = np.array([[0.0, 1.0, 0, 30], [0, 0, -1.5, -4], [-2.0, 0, 0, 9], [0, 0, 0, 1]])
TURN = np.array([[np.cos(0.2), -np.sin(0.2), 0], [np.sin(0.2), np.cos(0.2), 0], [0, 0, 1]])
OBLIQUE = np.block([[TURN * [1, 1, 3], np.array([[4.0], [5], [6]])], [np.zeros((1, 3)), np.ones((1, 1))]])
AFFINES = {"swapped": SWAPPED, "oblique": OBLIQUE}


def read(path):
    image = SimpleITK.ReadImage(str(path))
    return SimpleITK.GetArrayFromImage(image).T, image


@pytest.fixture
def sample(tmp_path):
    """A function that writes a case in a layout and gives the one case found, its images and canonical labels."""

    def write(layout, *, truth=True, **options):
        images, labels = tiny_volumes()
        write_layout(tmp_path / "in", layout, images=images, labels=labels if truth else None, **options)
        (case,) = find_cases(tmp_path / "in")
        return case, images, labels

    return write


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_case_of_every_layout_is_found_and_read(sample, tmp_path, layout):
    case, images, labels = sample(layout)
    release, scheme, grade, name = LAYOUTS[layout]
    assert (case.name, case.release, case.scheme, case.grade) == (name, release, scheme, grade)
    assert not case.problems
    (row,) = ingest(
        [case], root=tmp_path / "store", kept=tmp_path / "kept", recipe=Recipe(clip=0.01), workers=1
    ).to_dict("records")
    assert row["problem"] == "" and row["stored"]
    stored = open_case(tmp_path / "store" / name)
    to_canonical = {own: label for own, label in SCHEMES[scheme].to_canonical.items()}
    merged = recode(recode(labels, table=SCHEMES[scheme].from_canonical), table=to_canonical)
    whole = np.zeros(stored.meta["shape"], dtype=np.uint8)
    box = tuple(slice(a, a + n) for a, n in zip(stored.meta["offset"], stored.brain.shape, strict=True))
    whole[box] = stored.labels
    np.testing.assert_array_equal(whole, merged.T[:, ::-1, ::-1])  # the affine of BraTS: x and y run the other way
    for channel, modality in enumerate(MODALITIES):
        raw = images[modality].T[:, ::-1, ::-1][box]
        inside = np.asarray(stored.brain)
        low, high = np.quantile(raw[inside], [0.01, 0.99])
        clipped = np.clip(raw[inside], low, high)
        expected = (clipped - clipped.mean()) / clipped.std()
        np.testing.assert_allclose(stored.image[..., channel][inside], expected, atol=1e-5)


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_back_is_the_truth_voxel_by_voxel(sample, tmp_path, layout, affine):
    case, _, _ = sample(layout, affine=AFFINES[affine])
    prepared = prepare_case(case, recipe=Recipe(clip=0.01))
    suffix = ".mha" if case.truth.suffix == ".mha" else ".nii.gz"
    write_segmentation(tmp_path / f"out{suffix}", prepared.labels, case=case, meta=prepared.meta)
    (written, image), (truth, pattern) = read(tmp_path / f"out{suffix}"), read(case.truth)
    np.testing.assert_array_equal(written, truth)
    assert image.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    for what in ("Spacing", "Origin", "Direction"):
        np.testing.assert_allclose(getattr(image, f"Get{what}")(), getattr(pattern, f"Get{what}")(), atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_case_without_truth_is_kept_and_gets_its_own_numbers(sample, tmp_path, layout):
    case, images, labels = sample(layout, truth=False, affine=SWAPPED)
    assert case.truth is None and not case.problems
    prepared = prepare_case(case, recipe=Recipe(clip=0.01))
    assert prepared.labels is None
    # A prediction of five labels, whatever the release can tell apart.
    box = tuple(slice(a, a + n) for a, n in zip(prepared.meta["offset"], prepared.brain.shape, strict=True))
    canonical = np.asarray(nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, SWAPPED)).dataobj).T
    write_segmentation(tmp_path / "out.nii.gz", canonical[box], case=case, meta=prepared.meta)
    written, image = read(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(written, recode(labels, table=SCHEMES[case.scheme].from_canonical))
    assert written.shape == images["flair"].shape and image.GetDimension() == 3
    assert set(np.unique(written)) <= set(SCHEMES[case.scheme].to_canonical)
    np.testing.assert_allclose(nibabel.load(tmp_path / "out.nii.gz").affine, SWAPPED, atol=1e-6)


def test_all_layouts_in_one_folder(tmp_path):
    for seed, layout in enumerate(LAYOUTS):
        if layout != "list":
            images, labels = tiny_volumes(seed=seed)
            write_layout(tmp_path / layout, layout, images=images, labels=labels)
    cases = find_cases(tmp_path)
    assert sorted(case.name for case in cases) == sorted(name for _, _, _, name in LAYOUTS.values() if name != "mine")
    table = ingest(cases, root=tmp_path / "store", kept=tmp_path / "kept", recipe=Recipe(clip=0.01), workers=1)
    assert table["stored"].all() and table["voxels_hash"].nunique() == len(table)
    assert set(table["release"]) == {release for release, *_ in LAYOUTS.values()} - {"list"}


# ---- BRATS 2012


def test_a_truth_of_2012_is_edema_and_core(tmp_path):
    """1 edema, 2 core."""
    images, _ = tiny_volumes()
    brain = (images["flair"] > 0).nonzero()
    own = np.zeros(images["flair"].shape, dtype="uint8")
    own[tuple(axis[:30] for axis in brain)], own[tuple(axis[30:50] for axis in brain)] = 1, 2
    canonical = np.where(own == 1, 2, np.where(own == 2, 4, 0)).astype("uint8")
    write_layout(tmp_path, "brats2012", images=images, labels=canonical)
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(read(case.truth)[0], own)
    prepared = prepare_case(case, recipe=Recipe(clip=0.01))
    sizes = {region: int(region_mask(prepared.labels, region=region).sum()) for region in REGIONS}
    assert sizes == {"complete": 50, "core": 20, "enhancing": 0}
    assert SCHEMES[case.scheme].regions == ("complete", "core")  # so that 0 is nowhere taken for a measurement


@pytest.mark.slow
def test_a_truth_of_2012_is_not_trained_with(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    images, labels = tiny_volumes()
    write_layout(tmp_path / "in", "brats2012", images=images, labels=labels)
    text, bad = run(tmp_path / "in")
    assert bad == 0 and "1 for prediction only" in text
    assert (
        "its ground truth does not mark enhancing tumour: can be segmented and scored, but not used for training"
        in text
    )


def test_the_grade_of_2012_is_in_the_name(tmp_path):
    images, labels = tiny_volumes()
    write_layout(tmp_path, "brats2012", images=images, labels=labels)
    for old in sorted(tmp_path.rglob("*"), reverse=True):
        old.rename(old.with_name(old.name.replace("BRATS_HG0001", "SimBRATS_LG0002")))
    (case,) = find_cases(tmp_path)
    assert (case.name, case.grade, len(case.images)) == ("SimBRATS_LG0002", "low", 4)


# ---- Medical Segmentation Decathlon


def test_the_order_of_the_modalities_is_that_of_dataset_json(sample, tmp_path):
    case, images, _ = sample("decathlon")
    content = json.loads((tmp_path / "in/dataset.json").read_text())
    content["modality"] = {"0": "T2w", "1": "T1w", "2": "t1gd", "3": "FLAIR"}
    (tmp_path / "in/dataset.json").write_text(json.dumps(content))
    (other,) = find_cases(tmp_path / "in")
    assert other.channels == {"t2": 0, "t1": 1, "t1c": 2, "flair": 3}
    first, second = (prepare_case(entry, recipe=Recipe(clip=0.01)) for entry in (case, other))
    np.testing.assert_array_equal(first.image[..., 0], second.image[..., 3])
    np.testing.assert_array_equal(first.image[..., 1], second.image[..., 1])
    assert first.meta["facts"]["flair_mean"] == pytest.approx(images["flair"][images["flair"] > 0].mean())
    (tmp_path / "in/dataset.json").unlink()
    (usual,) = find_cases(tmp_path / "in")
    assert not usual.problems and usual.channels == case.channels


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected the dataset.json of Task01_BrainTumour"),
        ("[]", "expected the dataset.json of Task01_BrainTumour"),
        ('{"modality": {"0": "CT"}}', "expected the dataset.json of Task01_BrainTumour, found KeyError: 'ct'"),
        ('{"modality": {"0": "FLAIR", "1": "T1w"}}', "expected the modalities FLAIR, T1w, t1gd and T2w, found 0 fl"),
        (
            '{"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, "labels": {"0": "x", "1": "tumour"}}',
            "expected labels 1 edema, 2 non-enhancing, 3 enhancing",
        ),
    ],
)
def test_a_dataset_json_of_something_else(sample, tmp_path, content, message):
    sample("decathlon")
    (tmp_path / "in/dataset.json").write_text(content)
    (case,) = find_cases(tmp_path / "in")
    (problem,) = case.problems
    assert problem.startswith("BRATS_001: ") and message in problem and "\n" not in problem


def test_a_decathlon_file_without_four_modalities(sample, tmp_path):
    case, images, _ = sample("decathlon")
    for volumes, message in (
        (
            np.stack([images["flair"]] * 2, axis=-1),
            "expected t1c as volume 2 along the fourth axis, found 2 volumes",
        ),
        (images["flair"], r"expected a 4-D volume, found shape \(12, 14, 10\)"),
    ):
        nibabel.Nifti1Image(volumes, np.eye(4)).to_filename(case.images["flair"])
        with pytest.raises(UserError, match=message):
            prepare_case(case, recipe=Recipe(clip=0.01))


def test_the_test_set_of_the_decathlon_has_no_truth(sample, tmp_path):
    case, *_ = sample("decathlon")
    (tmp_path / "in/imagesTs").mkdir()
    shutil.copy(case.images["t1"], tmp_path / "in/imagesTs/BRATS_485.nii.gz")
    first, second = find_cases(tmp_path / "in")
    assert (first.truth is None, second.name, second.truth) == (False, "BRATS_485", None)


# ---- listings


def test_a_listing_as_json_with_paths_of_its_own(tmp_path):
    images, labels = tiny_volumes()
    write_layout(tmp_path, "list", images=images, labels=labels)
    (tmp_path / "cases.csv").unlink()
    rows = [{"case": "a", "patient": "p", "labels": "five", **{part: paths("list")[part] for part in MODALITIES}}]
    (tmp_path / "own name.json").write_text(json.dumps(rows))
    (case,) = find_cases(tmp_path / "own name.json")
    assert (case.name, case.patient, case.grade, case.truth) == ("a", "p", "unknown", None)
    assert prepare_case(case, recipe=Recipe(clip=0.01)).meta["facts"]["problem"] == ""


def test_time_points_in_a_listing_without_the_column_patient_are_one_patient(tmp_path):
    patients = {
        "BraTS-GLI-00002-000": "BraTS-GLI-00002",
        "BraTS-GLI-00002-001": "BraTS-GLI-00002",
        "BraTS-GLI-00003-000": "BraTS-GLI-00003",
        "Brats17_CBICA_AAB_1": "Brats17_CBICA_AAB",
        "Brats18_CBICA_AAB_1": "Brats17_CBICA_AAB",
        "Smith-1": "Smith",  # named in the column
        "Smith-2": "Smith-2",
    }
    rows = [{"case": name, "labels": "merged", **paths("list")} for name in patients]
    rows[-2]["patient"] = "Smith"
    (tmp_path / "cases.json").write_text(json.dumps(rows))
    assert {case.name: case.patient for case in find_cases(tmp_path)} == patients


def test_a_file_of_a_listing_that_is_not_there_is_named(tmp_path):
    images, labels = tiny_volumes()
    write_layout(tmp_path, "list", images=images, labels=labels)
    (tmp_path / "scans/of t1c.nii.gz").unlink()
    (case,) = find_cases(tmp_path, layout="list")
    (problem,) = case.problems
    assert "mine: t1c is missing: expected" in problem and "as cases.csv says" in problem
    assert "t1c" not in case.images


HEADER = "case,flair,t1,t1c,t2,truth,labels\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no case found in this listing"),
        (HEADER, "no case found in this listing"),
        ("case,flair\na,b\n", r"cases.csv: case 1: t1, t1c, t2, labels missing"),
        (HEADER + "a,f,t,c,2,s,five\nb,f,t,c,2,s,six\n", r"case 2: labels: expected one of five .*received 'six'"),
        (HEADER + "a,f,t,c,2,s\n", "expected 7 values as in the header"),
        (HEADER + "a,f,t,c,2,s,five,x\n", "expected 7 values as in the header"),
        (HEADER + "a,f,t,c,2,s,five\na,f,t,c,2,s,five\n", "case 'a' is listed twice"),
        (HEADER + "../a,f,t,c,2,s,five\n", r"expected a name that a folder can have, received '\.\./a'"),
        (HEADER.replace("flair", "Flair") + "a,f,t,c,2,s,five\n", "unknown column 'Flair'; did you mean flair"),
        (HEADER.replace("truth", "grade") + "a,f,t,c,2,HGG,five\n", "grade: expected one of high, low, unknown"),
        (HEADER + '"a,f,t,c,2,s,five\n', "the listing cannot be read"),
        (HEADER.replace("truth", "case") + "a,f,t,c,2,s,five\n", "the column 'case' is there twice"),
        ('sep="\n' + HEADER + "a,f,t,c,2,s,five\n", "expected 1 values as in the header, received 7"),
    ],
)
def test_a_listing_that_is_none(tmp_path, text, message):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        find_cases(tmp_path)


def as_text(separator=",", *, start="", tail="", line="\n"):
    """One case as a spreadsheet saves it; `tail` stands behind every line."""
    row = {"case": "mine", "labels": "five", **paths("list")}
    lines = [start, separator.join(row) + tail, separator.join(row.values()) + tail, tail.replace(" ", "") and tail * 7]
    return line.join(text for text in lines if text) + line


SAVED = {
    "Excel's empty rows and columns": as_text(tail=",,").encode(),
    "semicolons": as_text(";").encode(),
    "semicolons and empty columns": as_text(";", tail=";;;").encode(),
    "tabs": as_text("\t").encode(),
    "a sep= line": as_text("|", start="sep=|").encode(),
    "a quoted sep= line": as_text(";", start='"sep=;"', line="\r\n").encode(),
    "UTF-16 with a mark": as_text("\t", line="\r\n").encode("utf-16"),
    "UTF-16 without a mark": as_text("\t").encode("utf-16-le"),
    "UTF-16, the other order": as_text(";").encode("utf-16-be"),
    "UTF-8 with a mark": as_text().encode("utf-8-sig"),
    "spaces around values": as_text(" , ").encode(),
}


@pytest.mark.parametrize("saved", SAVED.values(), ids=list(SAVED))
def test_a_listing_is_read_however_a_spreadsheet_saves_it(tmp_path, saved):
    images, labels = tiny_volumes()
    write_layout(tmp_path, "list", images=images, labels=labels)
    (usual,) = find_cases(tmp_path)
    (tmp_path / "cases.csv").write_bytes(saved)
    (case,) = find_cases(tmp_path)
    assert (case.name, case.images, case.truth) == ("mine", usual.images, usual.truth) and not case.problems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_null_in_a_json_listing_is_an_empty_value(tmp_path, encoding):
    images, labels = tiny_volumes()
    write_layout(tmp_path, "list", images=images, labels=labels)
    (tmp_path / "cases.csv").unlink()
    row = {"case": 7, "labels": "five", "patient": None, "grade": None, **paths("list"), "truth": None}
    (tmp_path / "cases.json").write_text(json.dumps([row]), encoding=encoding)
    (case,) = find_cases(tmp_path)
    assert (case.name, case.patient, case.grade, case.truth) == ("7", "7", "unknown", None)
    (tmp_path / "cases.json").write_text(json.dumps([{**row, "t1c": None}]), encoding=encoding)
    with pytest.raises(UserError, match="case 1: t1c missing"):
        find_cases(tmp_path)


def test_the_labels_column_is_told_with_the_files_own_numbers(tmp_path):
    images, labels = tiny_volumes()
    write_layout(tmp_path, "list", images=images, labels=np.where(labels == 3, 1, labels).astype("uint8"))
    listing = (tmp_path / "cases.csv").read_text()
    (tmp_path / "cases.csv").write_text(listing.replace("five", "brats"))
    with pytest.raises(
        UserError, match=r"received 'brats'; .*of truth\.nii\.gz holds 0, 1, 2, 4, which fits five or merged"
    ):
        find_cases(tmp_path)
    (tmp_path / "cases.csv").write_text(listing.replace("five", "merged-2023"))
    (case,) = find_cases(tmp_path)
    words = r"0, 1, 2, 4, expected 0, 1, 2, 3 \(merged-2023\): change the labels column to five or merged"
    with pytest.raises(UserError, match=f"contains the labels {words}"):
        prepare_case(case, recipe=Recipe(clip=0.01))


@pytest.mark.parametrize(("name", "packed"), [("A_t1.nii.gz", False), ("A_t1.nii", True)])
def test_a_plain_file_named_as_compressed_is_read_and_the_reverse(tmp_path, write_nifti_case, name, packed):
    folder = write_nifti_case(tmp_path, "A")
    (case,) = find_cases(tmp_path)
    before = prepare_case(case, recipe=Recipe(clip=0.01))
    data = gzip.decompress((folder / "A_t1.nii.gz").read_bytes())
    (folder / "A_t1.nii.gz").unlink()
    (folder / name).write_bytes(gzip.compress(data) if packed else data)
    (case,) = find_cases(tmp_path)
    after = prepare_case(case, recipe=Recipe(clip=0.01))
    np.testing.assert_array_equal(after.image, before.image)
    write_segmentation(tmp_path / "out.nii.gz", after.labels, case=case, meta=after.meta)
    assert nibabel.load(tmp_path / "out.nii.gz").shape == (12, 14, 10)


@pytest.mark.parametrize("text", ["{", '{"case": "a"}', "[1]", '"x"', "[" * 100_000])
def test_a_json_listing_that_is_none(tmp_path, text):
    (tmp_path / "cases.json").write_text(text)
    with pytest.raises(UserError, match=r"the listing cannot be read|expected a list with one object per case"):
        find_cases(tmp_path)


def test_two_listings_or_none(tmp_path):
    with pytest.raises(UserError, match=r"expected a listing, cases\.csv or cases\.json, in it"):
        find_cases(tmp_path, layout="list")
    for name in ("cases.csv", "cases.json"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match="holds two listings"):
        find_cases(tmp_path)
