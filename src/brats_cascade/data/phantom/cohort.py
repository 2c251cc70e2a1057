"""Writes the built-in default cohort: synthetic patients in the BRATS 2013 file layout."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brats_cascade.data._metaimage import write_metaimage
from brats_cascade.data.phantom.anatomy import (
    Anatomy,
    Template,
    anatomy_at,
    draw_coordinates,
    load_template,
    move_coordinates,
)
from brats_cascade.data.phantom.contrast import render
from brats_cascade.data.phantom.tumour import divide_core, draw_core, draw_plan, grow_edema, mass_effect
from brats_cascade.errors import UserError
from brats_cascade.labels import EDEMA
from brats_cascade.shared import written_whole

log = logging.getLogger(__name__)

FILE_NAMES = {"flair": "MR_Flair", "t1": "MR_T1", "t1c": "MR_T1c", "t2": "MR_T2"}
FIRST_IMAGE_ID, FIRST_TRUTH_ID = 684, 6560


@dataclass(frozen=True)
class Patient:
    """A synthetic patient; all arrays (x, y, z), RAS.

    Attributes:
        images: Modality -> int16 volume, 0 outside the brain.
        labels: uint8 canonical labels.
        healthy: The brain before the tumour.
        anatomy: The brain displaced by the tumour.
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray
    healthy: Anatomy
    anatomy: Anatomy


def make_patient(template: Template, *, high_grade: bool, spacing: float, rng: np.random.Generator) -> Patient:
    """Generates one patient."""
    coordinates = draw_coordinates(template, spacing=spacing, rng=rng)
    fluid = rng.uniform(0.8, 1.3)
    healthy = anatomy_at(template, coordinates=coordinates, fluid=fluid)
    plan = draw_plan(high_grade=high_grade, rng=rng)
    core = draw_core(healthy, plan=plan, spacing=spacing, rng=rng)
    shift = mass_effect(core, brain=healthy.brain, push_mm=plan.push_mm, spacing=spacing)
    moved = move_coordinates(coordinates, shift=shift, spacing=spacing)
    anatomy = anatomy_at(template, coordinates=moved, fluid=fluid)
    core = core & anatomy.brain
    edema = grow_edema(anatomy, core=core, cm3=plan.edema_cm3, spacing=spacing, rng=rng)
    parts = divide_core(core, plan=plan, spacing=spacing, rng=rng)
    labels = np.where(edema & (parts == 0), EDEMA, parts).astype(np.uint8)
    images = render(anatomy, labels=labels, spacing=spacing, rng=rng)
    return Patient(images=images, labels=labels, healthy=healthy, anatomy=anatomy)


def make_cohort(folder: Path, *, patients: int, high_grade: int, seed: int, spacing: float) -> list[Path]:
    """Generates the cohort and writes it below `folder` in the BRATS 2013 layout.

    The first `high_grade` patients are high grade. Every patient has its own generator, seeded by (seed, number), so patient
    3 does not depend on the cohort's size. The same arguments give the same bytes. The spacing is 1 to 4 mm.

    Returns:
        The patients' folders, high grade first.

    Raises:
        UserError: The numbers are inconsistent, or the folder already holds a cohort.
        OSError: A file cannot be written; no cohort is left behind.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    if not 0 <= high_grade <= patients:
        raise UserError(f"phantom: expected 0 <= high_grade <= patients, received {high_grade} of {patients}")
    root = folder / "Image_Data"
    if root.exists():
        raise UserError(f"{root}: already holds a cohort; remove it, or write the phantom to another folder")
    template = load_template(spacing)

    def make(number: int, draft: Path) -> Path:
        high, rng = number < high_grade, np.random.default_rng([seed, number])
        patient = make_patient(template, high_grade=high, spacing=spacing, rng=rng)
        grade, rank = ("HG", number + 1) if high else ("LG", number - high_grade + 1)
        place = f"{grade}/{rank:04d}"
        write_patient(draft / place, patient=patient, number=number, spacing=spacing)
        cm3 = np.count_nonzero(patient.labels) * spacing**3 / 1000
        log.info("%s: tumour of %.0f cm3", root / place, cm3)
        return root / place

    with written_whole(root) as draft:
        # Threads suffice, because SciPy releases Python's lock.
        made = Parallel(n_jobs=-1, prefer="threads", return_as="generator")(
            delayed(make)(number, draft) for number in range(patients)
        )
        return list(tqdm(made, desc="phantom", unit="patient", total=patients))


def write_patient(folder: Path, *, patient: Patient, number: int, spacing: float) -> None:
    """Writes the five volumes of patient `number`; the file names mark them as a phantom."""
    files = [
        (f"VSD.Phantom.XX.O.{name}", FIRST_IMAGE_ID + len(FILE_NAMES) * number + index, patient.images[modality])
        for index, (modality, name) in enumerate(FILE_NAMES.items())
    ]
    files.append(("VSD.Phantom_3more.XX.XX.OT", FIRST_TRUTH_ID + number, patient.labels))
    # The identity direction of BRATS: its axes run to the left and to the back.
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    affine[1, 3] = spacing * (patient.labels.shape[1] - 1)
    for stem, serial, volume in files:
        (folder / stem).mkdir(parents=True, exist_ok=True)
        write_metaimage(folder / stem / f"{stem}.{serial}.mha", volume[::-1, ::-1], affine=affine)
