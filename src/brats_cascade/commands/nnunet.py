"""Writes a data set for nnU-Net v2: images, labels, dataset.json, and the project's split instead of nnU-Net's own folds.

nnU-Net needs consecutive labels, so merged labels (0, 1, 2, 4) are renumbered as in nnU-Net's own BraTS data set, which
uses the Decathlon's scheme. dataset.json names the scheme (`label_scheme`). nnU-Net copies this file next to its
predictions, where `evaluate` finds it.
"""

import shlex
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.cases import search
from brats_cascade.data.prepare import read_scans
from brats_cascade.data.pseudonyms import read_key, under_pseudonyms
from brats_cascade.data.spread import run_cases
from brats_cascade.data.truth import whole_labels
from brats_cascade.data.writeback import SCHEME_KEY
from brats_cascade.errors import UserError
from brats_cascade.labels import EDEMA, ENHANCING, LABELS, NECROSIS, NON_ENHANCING, REGIONS, SCHEMES, recode
from brats_cascade.params.blocks import DataParams
from brats_cascade.project import Project, read_json
from brats_cascade.shared import open_folder, write_json, written_whole

ENDING = ".nii.gz"
# The label of voxels that are in a region but not in the one inside it; nnU-Net writes the regions in this order.
PAINTED = {"complete": EDEMA, "core": NECROSIS, "enhancing": ENHANCING}
NEXT = """{cases} cases in {folder}
  cd {out}
  export nnUNet_raw="$PWD/nnUNet_raw" nnUNet_preprocessed="$PWD/nnUNet_preprocessed" nnUNet_results="$PWD/nnUNet_results"
  nnUNetv2_plan_and_preprocess -d {dataset} -c 3d_fullres --verify_dataset_integrity
  nnUNetv2_train {dataset} 3d_fullres 0
  nnUNetv2_predict -d {dataset} -c 3d_fullres -f 0 -i {folder}/imagesTs -o predicted
  cd -
  brats-cascade evaluate --truth {source} --prediction {predicted} --out {scores}"""


def export(project: Project, *, data: DataParams, out: Path, dataset: int, regions: bool, workers: int = 1) -> str:
    """Writes nnUNet_raw, and splits_final.json in nnUNet_preprocessed; returns the commands to run next.

    `dataset` is nnU-Net's number of the data set; with `regions` it is trained on regions instead of single labels.

    Raises:
        UserError: A case of data/splits.json cannot be found or read, or the data set exists already.
    """
    sets = read_json(project.splits)
    cohort = search(project.root / data.source, layout=data.layout, from_params=True)
    if data.pseudonyms:
        cohort = under_pseudonyms(cohort, key=read_key(project.root))
    found = {case.name: case for case in cohort.cases}
    names = [*sets["train"], *sets["validation"], *sets["test"]]
    lost = [name for name in names if name not in found or found[name].truth is None]
    if lost:
        raise UserError(
            f"{project.splits}: names {lost[0]}, whose ground truth is not in {data.source}; run `dvc repro split`"
        )
    scheme = numbering(found[name].scheme for name in names)
    place = f"Dataset{dataset:03d}_BratsCascade"
    folder = out / "nnUNet_raw" / place
    if folder.exists():
        raise UserError(f"{folder}: already exists; remove it, or choose another --out or --dataset")
    open_folder(out)
    trained = sets["train"] + sets["validation"]
    # Written first, because without it nnU-Net would silently draw its own folds.
    split = [{"train": sets["train"], "val": sets["validation"]}]
    write_json(out / "nnUNet_preprocessed" / place / "splits_final.json", split)
    with written_whole(folder) as draft:
        for end, members in (("Tr", trained), ("Ts", sets["test"])):
            (draft / f"images{end}").mkdir(parents=True)
            (draft / f"labels{end}").mkdir()
            work = partial(write_case, folder=draft, end=end, scheme=scheme)
            run_cases(work, [found[name] for name in members], workers=workers, title=f"images{end}")
        write_json(draft / "dataset.json", dataset_json(scheme, cases=len(trained), regions=regions))
    truth = folder / "labelsTs" if data.pseudonyms else data.source  # nnU-Net's names
    places = {"out": out, "source": truth, "predicted": out / "predicted", "scores": out / "scores.json"}
    quoted = {name: shlex.quote(str(path)) for name, path in places.items()}
    text = NEXT.format(cases=len(names), folder=folder.relative_to(out), dataset=dataset, **quoted)
    return f"{text} --scheme {scheme}" if data.pseudonyms else text


def numbering(schemes: Iterable[str]) -> str:
    """A scheme with consecutive values for a cohort: the paper's, or the Decathlon's if any case has merged labels."""
    return "five" if all(NON_ENHANCING in SCHEMES[scheme].canonical_labels for scheme in schemes) else "decathlon"


def dataset_json(scheme: str, *, cases: int, regions: bool) -> dict[str, Any]:
    """The content of dataset.json: the label values of every region, or a name for every value."""
    numbers = SCHEMES[scheme].from_canonical
    names: dict[int, str] = {}
    for label in sorted(set(LABELS) - {0}, key=lambda label: numbers[label]):
        names[numbers[label]] = " and ".join(filter(None, (names.get(numbers[label]), LABELS[label])))
    classes: dict[str, Any] = {name: number for number, name in names.items()}
    inside = {name: sorted({numbers[label] for label in labels}) for name, labels in REGIONS.items()}
    content = {
        "channel_names": {str(channel): modality for channel, modality in enumerate(MODALITIES)},
        "labels": {"background": 0, **(inside if regions else classes)},
        "numTraining": cases,
        "file_ending": ENDING,
        SCHEME_KEY: scheme,
    }
    return content | ({"regions_class_order": [numbers[PAINTED[name]] for name in REGIONS]} if regions else {})


def write_case(case: Case, *, folder: Path, end: str, scheme: str) -> dict[str, Any]:
    """Writes the scans of a case, and its labels in a scheme, all on the grid of the first modality."""
    images = read_scans(case, with_truth=True, facts={})
    affine = images[MODALITIES[0]].affine
    for channel, modality in enumerate(MODALITIES):
        path = folder / f"images{end}" / f"{case.name}_{channel:04d}{ENDING}"
        _write(images[modality].array, path=path, affine=affine)
    truth = whole_labels(images["truth"].array, path=images["truth"].path)
    own, wanted = SCHEMES[case.scheme].to_canonical, SCHEMES[scheme].from_canonical
    labels = recode(truth, table={number: wanted[label] for number, label in own.items()})
    _write(labels, path=folder / f"labels{end}" / f"{case.name}{ENDING}", affine=affine)
    return {"case": case.name}


def _write(array: np.ndarray, *, path: Path, affine: np.ndarray) -> None:
    image = nibabel.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
