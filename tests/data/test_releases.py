from pathlib import Path

import pytest

from brats_cascade import MODALITIES
from brats_cascade.data.releases import ALL_FOUR, RELEASES
from brats_cascade.labels import SCHEMES

MR13 = "Image_Data/HG/0006/VSD.Brain.XX.O.MR_{0}/VSD.Brain.XX.O.MR_{0}.684.mha"
MR15 = "HGG/brats_tcia_pat101_0001/VSD.Brain.XX.O.MR_{0}.54512/VSD.Brain.XX.O.MR_{0}.54512.mha"
FILES = [
    ("brats2013", "flair", MR13.format("Flair")),
    ("brats2013", "t1", MR13.format("T1")),
    ("brats2013", "t1c", MR13.format("T1c")),
    ("brats2013", "t2", MR13.format("T2")),
    ("brats2013", "truth", "HG/0006/VSD.Brain_3more.XX.XX.OT/VSD.Brain_3more.XX.XX.OT.6560.mha"),
    ("brats2013", "truth", "Synthetic_Data/LG/0001/VSD.Gray_matter_of_neuraxis_5more.XX.O.OT/a.mha"),
    ("phantom", "flair", "Image_Data/LG/0002/VSD.Phantom.XX.O.MR_Flair/VSD.Phantom.XX.O.MR_Flair.684.mha"),
    ("phantom", "truth", "Image_Data/LG/0002/VSD.Phantom_3more.XX.XX.OT/VSD.Phantom_3more.XX.XX.OT.6560.mha"),
    ("brats2015", "t1", MR15.format("T1")),
    ("brats2015", "t1c", MR15.format("T1c")),
    ("brats2015", "truth", "HGG/brats_2013_pat0001_1/VSD.Brain_3more.XX.O.OT.54517/VSD.Brain_3more.XX.O.OT.54517.mha"),
    ("brats2017", "t1c", "HGG/Brats18_CBICA_ALU_1/Brats18_CBICA_ALU_1_t1ce.nii.gz"),
    ("brats2017", "t1", "my case é/my case é_t1.nii"),
    ("brats2017", "truth", "x/x_seg.nii.gz"),
    ("brats2021", "t2", "BraTS2021_00000/BraTS2021_00000_t2.nii.gz"),
    ("brats2023", "t1c", "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz"),
    ("brats2012", "t1c", "BRATS_HG0001/BRATS_HG0001_T1C.mha"),
    ("brats2012", "truth", "HG/SimBRATS_LG0012/SimBRATS_LG0012_truth.mha"),
    ("decathlon", "all four", "Task01_BrainTumour/imagesTr/BRATS_001.nii.gz"),
    ("decathlon", "all four", "Task01_BrainTumour/imagesTs/BRATS_485.nii.gz"),
    ("decathlon", "truth", "labelsTr/BRATS_001.nii.gz"),
    ("brats2023", "truth", "BraTS-GLI-00000-000/BraTS-GLI-00000-000-seg.nii.gz"),
]
STRANGERS = [
    "x/x_t1ce_bias_field.nii.gz",
    "x/x_brain_t1ce.nii.gz",
    "x/y_t1ce.nii.gz",
    "x/x_t1ce.nii.gz.part",
    "x/x_prediction.nii.gz",
    "HG/0006/VSD.Brain.XX.O.MR_T1/notes.txt",
    "Task01_BrainTumour/imagesTr/._BRATS_001.nii.gz",
    "Task02_Heart/imagesTr/la_003.nii.gz",
    "HG/0006/n4/VSD.Brain.XX.O.MR_T1.685.mha",
]


@pytest.mark.parametrize(("release", "part", "path"), FILES)
def test_the_first_release_that_knows_a_file_is_the_right_one(release, part, path):
    known = [(name, entry.part_of(Path("/cohort") / path)) for name, entry in RELEASES.items()]
    assert next(found for found in known if found[1] is not None) == (release, part)


@pytest.mark.parametrize("path", STRANGERS)
def test_other_files_belong_to_no_release(path):
    assert all(entry.part_of(Path("/cohort") / path) is None for entry in RELEASES.values())


@pytest.mark.parametrize(
    ("release", "case", "patient"),
    [
        ("brats2017", "Brats18_2013_20_1", "Brats18_2013_20"),
        ("brats2017", "BraTS19_TCIA02_370_2", "BraTS19_TCIA02_370"),
        ("brats2017", "Brats17_CBICA_ALU_1", "Brats17_CBICA_ALU"),
        # BraTS 2020 numbers patients: cutting the number off would make one patient of them all.
        ("brats2017", "BraTS20_Training_001", "BraTS20_Training_001"),
        ("brats2015", "brats_tcia_pat101_0002", "brats_tcia_pat101"),
        ("brats2013", "HG_0001", "HG_0001"),
        ("brats2021", "BraTS2021_00001", "BraTS2021_00001"),
        ("brats2023", "BraTS-GLI-00005-001", "BraTS-GLI-00005"),
    ],
)
def test_the_time_point_is_no_part_of_the_patient(release, case, patient):
    assert RELEASES[release].patient_of(case) == patient


@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda entry: entry.name)
def test_every_entry_is_whole(release):
    assert set(release.files) == ({*MODALITIES, "truth"} if release.own_folder else {ALL_FOUR, "truth"})
    assert {path.count("/") + 1 for path in release.files.values()} == {release.depth}
    assert release.scheme in SCHEMES
    stem = {"brats2012": "BRATS_HG0001", "decathlon": "BRATS_001"}.get(release.name, "BraTS2021_00001")
    folder = Path("/cohort/HG") / (stem if release.own_folder else "Task01_BrainTumour")
    for part in release.files:
        assert release.part_of(folder / release.expected(part, stem=stem).replace("*", "O")) == part
