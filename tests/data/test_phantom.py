"""The phantom cohort: layout, determinism, anatomy, and that no threshold solves it."""

import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydantic import ValidationError
from scipy.ndimage import distance_transform_edt

from brats_cascade.data.cases import find_cases
from brats_cascade.data.phantom import make_cohort
from brats_cascade.data.phantom.anatomy import Anatomy, Template, load_template
from brats_cascade.data.phantom.cohort import Patient, make_patient, write_patient
from brats_cascade.data.phantom.fields import smooth_noise, soft_step
from brats_cascade.data.phantom.tumour import (
    TumourPlan,
    arrival_times,
    divide_core,
    grow_edema,
    mass_effect,
)
from brats_cascade.errors import UserError
from brats_cascade.params.blocks import PhantomParams

SPACING = 4.0
COHORT = {"patients": 3, "high_grade": 2, "seed": 7, "spacing": SPACING}
MODALITIES = ("Flair", "T1", "T1c", "T2")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_cohort(tmp_path_factory.mktemp("phantom"), **COHORT)


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template(SPACING)


@pytest.fixture(scope="module")
def patients(template: Template) -> list[Patient]:
    """The patients of `cohort`, with what the files do not hold."""
    return [
        make_patient(template, high_grade=number < 2, spacing=SPACING, rng=np.random.default_rng([7, number]))
        for number in range(3)
    ]


def read(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def volumes(patient: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    images = {name: read(next(patient.glob(f"VSD.Phantom.XX.O.MR_{name}/*.mha"))) for name in MODALITIES}
    return images, read(next(patient.glob("VSD.Phantom_3more.XX.XX.OT/*.mha")))


def test_layout_of_brats_2013(cohort: list[Path]) -> None:
    assert [patient.parts[-3:] for patient in cohort] == [
        ("Image_Data", "HG", "0001"),
        ("Image_Data", "HG", "0002"),
        ("Image_Data", "LG", "0001"),
    ]
    assert (cohort[0] / "VSD.Phantom.XX.O.MR_Flair" / "VSD.Phantom.XX.O.MR_Flair.684.mha").is_file()
    files = [path for patient in cohort for path in patient.rglob("*.mha")]
    assert len(files) == 15
    assert all(path.parent.name == path.name.rsplit(".", 2)[0] for path in files)
    assert len({path.name.rsplit(".", 2)[1] for path in files}) == 15  # ids tell the files apart


def test_a_phantom_is_known_as_one_wherever_it_is_copied(cohort: list[Path], tmp_path: Path) -> None:
    shutil.copytree(cohort[0], tmp_path / "HG" / "0007")
    (case,) = find_cases(tmp_path)
    assert (case.name, case.release, case.scheme, case.problems) == ("HG_0007", "phantom", "five", ())


def test_files_read_back_with_the_geometry_asked_for(cohort: list[Path]) -> None:
    for path in cohort[0].rglob("*.mha"):
        image = SimpleITK.ReadImage(str(path))
        assert image.GetSize() == (49, 58, 47)  # 197 x 233 x 189 mm
        assert image.GetSpacing() == (SPACING,) * 3
        assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        assert image.GetPixelID() == (SimpleITK.sitkUInt8 if ".OT" in path.name else SimpleITK.sitkInt16)
        assert b"CompressedData = True" in path.read_bytes()[:400]


@pytest.mark.slow
def test_same_seed_same_bytes(cohort: list[Path], tmp_path: Path) -> None:
    again = make_cohort(tmp_path, **COHORT)
    for first, second in zip(cohort, again, strict=True):
        names = sorted(path.relative_to(first) for path in first.rglob("*.mha"))
        assert len(names) == 5
        assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


@pytest.mark.slow
def test_another_seed_another_patient(template: Template, patients: list[Patient]) -> None:
    other = make_patient(template, high_grade=True, spacing=SPACING, rng=np.random.default_rng([8, 0]))
    assert (other.images["t1"] != patients[0].images["t1"]).mean() > 0.1


def test_no_two_brains_are_equal(patients: list[Patient]) -> None:
    for one, other in combinations(patients, 2):
        either = one.healthy.brain | other.healthy.brain
        assert (one.healthy.brain != other.healthy.brain).sum() > 0.02 * either.sum()
        assert np.abs(one.healthy.grey - other.healthy.grey)[either].mean() > 0.05


def test_modalities_share_one_brain_and_the_tumour_lies_in_it(cohort: list[Path]) -> None:
    for patient in cohort:
        images, labels = volumes(patient)
        brain = images["Flair"] > 0
        assert all(np.array_equal(image > 0, brain) for image in images.values())
        assert labels.shape == brain.shape
        assert not labels[~brain].any()
        assert 1.2e6 < brain.sum() * SPACING**3 < 2.4e6  # mm3


def test_labels_and_sizes_by_grade(cohort: list[Path]) -> None:
    for patient in cohort:
        _, labels = volumes(patient)
        present = set(np.unique(labels).tolist())
        if patient.parent.name == "HG":
            assert present == {0, 1, 2, 3, 4}
        else:
            assert {0, 2, 3} <= present <= {0, 2, 3, 4}
            assert (labels == 4).sum() < 0.15 * (labels == 3).sum()
        assert 30 < (labels > 0).sum() * SPACING**3 / 1000 < 210  # cm3


@pytest.mark.slow
def test_high_grade_rim_encloses_the_necrosis(patients: list[Patient]) -> None:
    for patient in patients[:2]:
        distances = distance_transform_edt(patient.labels != 1)
        assert distances[patient.labels == 4].mean() < distances[patient.labels == 2].mean()


def test_edema_prefers_white_matter(patients: list[Patient]) -> None:
    for patient in patients:
        around = patient.anatomy.brain & ~np.isin(patient.labels, (1, 3, 4))
        edema = patient.labels == 2
        assert patient.anatomy.white[edema].mean() > 1.5 * patient.anatomy.white[around].mean()
        assert patient.anatomy.csf[edema].max() <= 0.6


@pytest.mark.slow
def test_mass_effect_moves_fluid_outside_the_tumour(patients: list[Patient]) -> None:
    for patient in patients:
        core = np.isin(patient.labels, (1, 3, 4))
        distances = distance_transform_edt(~core, sampling=SPACING)
        brain = patient.healthy.brain & patient.anatomy.brain
        change = np.abs(patient.healthy.csf - patient.anatomy.csf)
        near, far = brain & ~core & (distances < 20), brain & (distances > 80)
        assert change[near].mean() > 3 * change[far].mean()
        assert (change[near] > 0.3).mean() > 0.015


def test_mass_effect_pushes_outwards_and_fades() -> None:
    grid = np.indices((41, 41, 41)) - 20.0
    radius = np.sqrt((grid**2).sum(0))
    shift = mass_effect(radius <= 6, brain=radius <= 19, push_mm=5.0, spacing=2.0)
    along_x = shift[0, 20:, 20, 20]
    assert along_x[7] == pytest.approx(4.6, abs=0.7)  # just outside the border
    assert (np.diff(along_x[8:]) <= 1e-6).all()
    assert abs(along_x[20]) < 0.2  # the skull stays
    assert np.allclose(shift[1:, 20:, 20, 20], 0, atol=1e-4)
    assert np.allclose(shift[0, 20::-1, 20, 20], -along_x, atol=1e-4)


def test_arrival_times_in_closed_form() -> None:
    speed = np.ones((9, 5, 5))
    speed[5:] = 0.5
    start = np.zeros(speed.shape, dtype=bool)
    start[0] = True
    times = arrival_times(speed, start=start, inside=np.ones(speed.shape, dtype=bool), spacing=2.0)
    # 4 steps of 2 mm at speed 1, one across the border at the mean cost, 3 steps at speed 0.5
    assert times[8, 2, 2] == pytest.approx(4 * 2 + 2 * (1 + 2) / 2 + 3 * 4)
    wall = np.ones(speed.shape, dtype=bool)
    wall[3] = False
    assert np.isinf(arrival_times(speed, start=start, inside=wall, spacing=2.0)[4:]).all()


def test_edema_of_the_volume_asked_for_runs_along_white_matter(rng: np.random.Generator) -> None:
    shape = (41, 41, 41)
    white = np.zeros(shape, dtype=np.float32)
    white[:, 16:25, 16:25] = 1  # a tract along x in grey matter
    brain = np.ones(shape, dtype=bool)
    zero = np.zeros(shape, dtype=np.float32)
    anatomy = Anatomy(1 - white, white, zero, brain, zero, np.zeros((3, *shape), dtype=np.float32))
    core = np.zeros(shape, dtype=bool)
    core[18:23, 18:23, 18:23] = True
    edema = grow_edema(anatomy, core=core, cm3=12.0, spacing=2.0, rng=rng)
    extent = [np.ptp(axis) for axis in np.nonzero(edema)]
    assert extent[0] > 1.3 * max(extent[1:])
    assert edema.sum() * 8 / 1000 == pytest.approx(12, rel=0.2)
    assert not (edema & core).any()


def test_core_is_divided_by_the_shares_of_the_plan(rng: np.random.Generator) -> None:
    radius = np.sqrt(((np.indices((31, 31, 31)) - 15.0) ** 2).sum(0))
    core = radius <= 12
    plan = TumourPlan(core_cm3=0, edema_cm3=0, push_mm=0, necrosis=0.3, enhancing=0.5)
    parts = divide_core(core, plan=plan, spacing=2.0, rng=rng)
    assert not parts[~core].any()
    shares = [(parts == label).sum() / core.sum() for label in (1, 4, 3)]
    assert shares == pytest.approx([0.3, 0.5, 0.2], abs=0.05)
    assert radius[parts == 1].mean() < radius[parts == 4].mean()


@pytest.mark.slow
def test_no_threshold_on_one_modality_solves_it(cohort: list[Path]) -> None:
    scores = {}
    read_cohort = [volumes(patient) for patient in cohort]
    for name in MODALITIES:
        for sign in (1, -1):
            for threshold in np.arange(-1.0, 3.0, 0.1):
                dice = []
                for images, labels in read_cohort:
                    brain = images[name] > 0
                    inside = images[name][brain].astype(float)
                    chosen = sign * (inside - inside.mean()) / inside.std() > threshold
                    truth = labels[brain] > 0
                    dice.append(2 * (chosen & truth).sum() / (chosen.sum() + truth.sum()))
                scores[name, sign, round(float(threshold), 1)] = np.mean(dice)
    best = max(scores, key=scores.__getitem__)
    assert 0.3 < scores[best] < 0.7, best  # chosen on the very patients it is scored on


def test_tumour_is_bright_where_radiologists_look(cohort: list[Path]) -> None:
    for patient in cohort:
        images, labels = volumes(patient)
        healthy = (images["Flair"] > 0) & (labels == 0)
        for name in ("Flair", "T2"):
            assert images[name][labels == 3].mean() > images[name][healthy].mean() + images[name][healthy].std()
        if (labels == 4).any():
            assert images["T1c"][labels == 4].mean() > images["T1c"][healthy].mean() + images["T1c"][healthy].std()


def test_files_are_written_in_lps(tmp_path: Path, patients: list[Patient]) -> None:
    volume = np.zeros((4, 5, 6), dtype=np.int16)
    volume[3, 4, 5] = 1  # right, anterior, superior corner
    images = dict.fromkeys(("flair", "t1", "t1c", "t2"), volume)
    one = Patient(images, volume.astype(np.uint8), patients[0].healthy, patients[0].anatomy)
    write_patient(tmp_path, patient=one, number=0, spacing=2.0)
    image = SimpleITK.ReadImage(str(next(tmp_path.rglob("*Flair*.mha"))))
    z, y, x = (int(index) for index in np.argwhere(SimpleITK.GetArrayFromImage(image))[0])
    assert image.TransformIndexToPhysicalPoint((x, y, z)) == (0.0, -8.0, 10.0)  # to the left, back, up: mm


def test_smooth_noise_has_the_correlation_asked_for(rng: np.random.Generator) -> None:
    noise = smooth_noise((80, 80, 80), correlation=6.0, spacing=2.0, rng=rng)
    assert noise.mean() == pytest.approx(0, abs=1e-4)
    assert noise.std() == pytest.approx(1, abs=1e-4)
    # two places d apart in noise filtered with sigma: exp(-d^2 / (4 sigma^2)); here d = sigma
    assert np.mean(noise[3:] * noise[:-3]) == pytest.approx(np.exp(-0.25), abs=0.06)


def test_soft_step() -> None:
    assert soft_step(np.array([0.0, 1.0, 2.0]), edge=1.0, width=2.0) == pytest.approx([0.018, 0.5, 0.982], abs=1e-3)


def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="received 4 of 3"):
        make_cohort(tmp_path, **{**COHORT, "high_grade": 4})
    with pytest.raises(ValidationError, match="spacing"):
        PhantomParams(**{**COHORT, "spacing": 0.5})
