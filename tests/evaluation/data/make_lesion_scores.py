r"""Writes lesion_scores.json: the scores of tests/lesion_shapes.py by the challenge's own code, in an environment of its own.

    git clone https://github.com/rachitsaluja/BraTS-2023-Metrics && git -C BraTS-2023-Metrics checkout 43c9052
    python3.11 -m venv oracle
    oracle/bin/pip install numpy==1.24.3 scipy==1.11.1 pandas==1.5.3 scikit-image==0.22.0 \
        connected-components-3d==3.12.3 nibabel==5.1.0
    PYTHONPATH=BraTS-2023-Metrics:tests oracle/bin/python tests/evaluation/data/make_lesion_scores.py

`nsd` is that of the surface-distance code which comes with it; `nsd_mesh` is independent of that and its table: the area of
scikit-image's marching-cubes triangles, each at the corner of eight voxels in whose cell it lies, with brute-force distances.
"""

import json
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import metrics  # type: ignore[import-not-found]  # BraTS-2023-Metrics
import nibabel
import numpy as np
import surface_distance
from lesion_shapes import Shape, shapes
from scipy.spatial.distance import cdist
from skimage.measure import marching_cubes, mesh_surface_area

REGIONS = {"complete": ("WT", (1, 2, 4)), "core": ("TC", (1, 4)), "enhancing": ("ET", (4,))}
OUT = Path(__file__).with_name("lesion_scores.json")


def with_tuples(**options: object) -> tuple[object, ...]:
    """The challenge's lesions, with tuples in place of arrays, which a later pandas cannot compare with infinity."""
    tp, fn, fp, gt_tp, pairs, *rest = lesions(**options)
    return tp, fn, fp, gt_tp, [(tuple(parts), *numbers) for parts, *numbers in pairs], *rest


lesions, metrics.get_LesionWiseScores = metrics.get_LesionWiseScores, with_tuples


def challenge(shape: Shape) -> dict[str, dict[str, float]]:
    """Region -> the challenge's lesion-wise scores and counts."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{name}.nii.gz") for name in ("truth", "prediction")]
        for path, labels in zip(paths, shape[:2], strict=True):
            nibabel.Nifti1Image(np.where(labels == 4, 3, labels), np.diag([*shape.spacing, 1])).to_filename(path)
        table = metrics.get_LesionWiseResults(str(paths[1]), str(paths[0]), "BraTS-GLI").set_index("Labels")
    names = {"lesion_dice": "LesionWise_Score_Dice", "lesion_hd95": "LesionWise_Score_HD95", "lesions_false": "Num_FP"}
    found = {}
    for region, (key, _) in REGIONS.items():
        row = table.loc[key]
        found[region] = {name: float(row[column]) for name, column in names.items()}
        found[region] |= {"lesions": float(row["Num_TP"] + row["Num_FN"]), "lesions_missed": float(row["Num_FN"])}
    return found


def nsd(truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Surface Dice at 1 mm by the surface-distance code; 1 where both are empty, for which it gives NaN."""
    measured = surface_distance.compute_surface_distances(truth, prediction, spacing)
    value = float(surface_distance.compute_surface_dice_at_tolerance(measured, 1.0))
    return 1.0 if np.isnan(value) else value


def nsd_mesh(truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> float:
    """The same, from triangles."""
    (first, first_areas), (second, second_areas) = (elements(mask, spacing) for mask in (truth, prediction))
    if not len(first) or not len(second):
        return float(len(first) == len(second))
    apart = cdist(first, second)
    near = first_areas[apart.min(axis=1) <= 1 + 1e-6].sum() + second_areas[apart.min(axis=0) <= 1 + 1e-6].sum()
    return float(near / (first_areas.sum() + second_areas.sum()))


def elements(mask: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Corners between voxels (mm) and the area (mm2) of the triangles in the cell around each."""
    if not mask.any():
        return np.zeros((0, 3)), np.zeros(0)
    points, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(float), 0.5, method="lorensen", allow_degenerate=False)
    triangles = points[faces]
    cells, number = np.unique(np.floor(triangles.mean(axis=1)).astype(int), axis=0, return_inverse=True)
    areas = np.array([mesh_surface_area(triangle * np.array(spacing), [[0, 1, 2]]) for triangle in triangles])
    return cells * np.array(spacing), np.bincount(number.ravel(), weights=areas)


def row(shape: Shape) -> Mapping[str, Mapping[str, float]]:
    """Region -> scores."""
    scores = challenge(shape)
    for region, (_, labels) in REGIONS.items():
        masks = [np.isin(volume, labels) for volume in shape[:2]]
        scores[region] |= {"nsd": nsd(*masks, shape.spacing), "nsd_mesh": nsd_mesh(*masks, shape.spacing)}
    return scores


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    content = {
        "made_by": "tests/evaluation/data/make_lesion_scores.py, whose first lines have the commands",
        "reference": "https://github.com/rachitsaluja/BraTS-2023-Metrics at 43c905242b2eecf421d4ab2da7af8ece9777d322",
        "versions": {
            name: version(name)
            for name in ("numpy", "scipy", "pandas", "connected-components-3d", "nibabel", "scikit-image")
        },
        "scores": {name: row(shape) for name, shape in shapes().items()},
    }
    OUT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
