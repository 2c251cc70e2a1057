"""Writes one case in any supported layout, from arrays; for tests and benchmarks."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

from brats_cascade import MODALITIES
from brats_cascade.labels import SCHEMES, recode

BRATS_AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 13], [0, 0, 1.0, 0], [0, 0, 0, 1]])
VSD = dict(zip(MODALITIES, ("Flair", "T1", "T1c", "T2"), strict=True))

# Layout -> (release, label scheme, grade, name of the case, path of each part).
LAYOUTS = {
    "brats2012": ("brats2012", "edema-core", "high", "BRATS_HG0001"),
    "brats2013": ("brats2013", "five", "low", "LG_0001"),
    "brats2013 simulated": ("brats2013", "five", "high", "simulated_HG_0001"),
    "brats2015": ("brats2015", "five", "high", "brats_2013_pat0001_1"),
    "brats2017": ("brats2017", "merged", "high", "Brats18_ABC_1"),
    "brats2020": ("brats2017", "merged", "unknown", "BraTS20_Training_001"),
    "brats2021": ("brats2021", "merged", "unknown", "BraTS2021_00001"),
    "brats2023": ("brats2023", "merged-2023", "unknown", "BraTS-GLI-00001-000"),
    "decathlon": ("decathlon", "decathlon", "unknown", "BRATS_001"),
    "list": ("list", "five", "low", "mine"),
}


def paths(layout: str) -> dict[str, str]:
    """Part ("flair", ..., "truth") -> its file below the cohort's folder."""
    name = LAYOUTS[layout][3]
    if layout == "brats2012":
        names = {"flair": "FLAIR", "t1": "T1", "t1c": "T1C", "t2": "T2", "truth": "truth"}
        return {part: f"{name}/{name}_{word}.mha" for part, word in names.items()}
    if layout.startswith("brats2013"):
        folder = "Synthetic_Data/HG/0001" if "simulated" in layout else "Image_Data/LG/0001"
        truth = "VSD.Gray_matter_of_neuraxis_5more.XX.O.OT" if "simulated" in layout else "VSD.Brain_3more.XX.XX.OT"
        stems = {part: f"VSD.Brain.XX.O.MR_{word}" for part, word in VSD.items()} | {"truth": truth}
        return {part: f"{folder}/{stem}/{stem}.684.mha" for part, stem in stems.items()}
    if layout == "brats2015":
        stems = {part: f"VSD.Brain.XX.O.MR_{word}.54512" for part, word in VSD.items()}
        stems |= {"truth": "VSD.Brain_3more.XX.O.OT.54517"}
        return {part: f"HGG/{name}/{stem}/{stem}.mha" for part, stem in stems.items()}
    if layout == "decathlon":
        return {**dict.fromkeys(MODALITIES, f"imagesTr/{name}.nii.gz"), "truth": f"labelsTr/{name}.nii.gz"}
    if layout == "list":
        return {part: f"scans/of {part}.nii.gz" for part in (*MODALITIES, "truth")}
    if layout == "brats2023":
        names = {"flair": "-t2f", "t1": "-t1n", "t1c": "-t1c", "t2": "-t2w", "truth": "-seg"}
    else:
        names = {"flair": "_flair", "t1": "_t1", "t1c": "_t1ce", "t2": "_t2", "truth": "_seg"}
    above = "HGG/" if layout == "brats2017" else ""
    return {part: f"{above}{name}/{name}{word}.nii.gz" for part, word in names.items()}


def tiny_volumes(
    *, seed: int = 0, shape: tuple[int, int, int] = (12, 14, 10)
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Four int16 modalities (x, y, z) of an ellipsoid brain, and canonical labels with all five inside it."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape)
    centre = (np.array(shape) - 1).reshape(3, 1, 1, 1) / 2
    brain = (((grid - centre) / (centre - 0.4)) ** 2).sum(axis=0) <= 1
    images = {part: np.where(brain, rng.integers(50, 900, size=shape), 0).astype("int16") for part in MODALITIES}
    labels = np.where(brain & (rng.random(shape) < 0.3), rng.integers(0, 5, size=shape), 0).astype("uint8")
    labels[5, 6, 3:7] = (1, 2, 3, 4)
    return images, labels


def case_facts(name: str, **changes: object) -> dict[str, object]:
    """The facts that ingest stores of a case, those that training records."""
    facts: dict[str, object] = {"case": name, "patient": name, "grade": "high", "release": "brats2013"}
    facts["voxels_hash"] = f"of {name}"
    facts |= dict.fromkeys(("spacing_slice", "spacing_row", "spacing_column"), 1.0)
    facts |= {f"{part}_{share}": float(share[1:]) for part in MODALITIES for share in ("p01", "p50", "p99")}
    return {**facts, **changes}


def write_layout(
    folder: Path,
    layout: str,
    *,
    images: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
    affine: np.ndarray = BRATS_AFFINE,
) -> Path:
    """Writes a case; canonical labels become the release's own (merged where it merges). Returns the folder."""
    where = {part: folder / path for part, path in paths(layout).items()}
    volumes = dict(images)
    if labels is not None:
        own = recode(labels, table=SCHEMES[LAYOUTS[layout][1]].from_canonical)
        volumes["truth"] = own.astype("int16" if layout != "decathlon" else "uint8")
    if layout == "decathlon":
        stacked = np.stack([volumes.pop(part) for part in MODALITIES], axis=-1)
        _write(where["flair"], stacked, affine=affine)
        names = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
        numbers = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}
        (folder / "dataset.json").write_text(json.dumps({"name": "BRATS", "modality": names, "labels": numbers}))
    for part, voxels in volumes.items():
        _write(where[part], voxels, affine=affine)
    if layout == "list":
        row = {"case": "mine", "grade": "low", "labels": "five"}
        row |= {part: paths(layout)[part] for part in volumes}
        with (folder / "cases.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerow(row)
    return folder


def _write(path: Path, voxels: np.ndarray, *, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".mha":
        nibabel.Nifti1Image(voxels, affine).to_filename(path)
        return
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.T))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    lps = np.diag([-1.0, -1.0, 1.0])
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps @ (affine[:3, :3] / spacing)).ravel().tolist())
    image.SetOrigin((lps @ affine[:3, 3]).tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)
