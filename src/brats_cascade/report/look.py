"""Prepares a case, from its files or from the volume store, as a scene for a viewer page."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from brats_cascade import MAX_GB
from brats_cascade.data.case import Case
from brats_cascade.data.cases import find_cases
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.store import list_cases, open_case, read_meta
from brats_cascade.data.writeback import read_scheme
from brats_cascade.errors import UserError
from brats_cascade.evaluation.label_files import Labelled
from brats_cascade.evaluation.pairing import predictions_in, refuse_same
from brats_cascade.evaluation.score_files import Place, check_place, first_of, read_labels
from brats_cascade.params import Recipe
from brats_cascade.report.scene import Scene, make_scene, place_of, whole

Source = Case | Path  # the files of a case, or its folder in a volume store


def find_sources(place: Path, *, store: Path) -> dict[str, Source]:
    """The cases, by name, of a folder or listing of any release, of a volume store, or of a case's folder in a store.

    `place` may also be the name of a case in `store`, the project's volume store, which may be missing.
    """
    folder = place if place.exists() else store / place
    known = list_cases(store)
    if known and not folder.exists():
        raise UserError(f"{place}: no such folder, and no case of this name in {store}; known there: {first_of(known)}")
    if read_meta(folder) is not None:
        return {folder.name: folder}
    stored = list_cases(folder)
    return {name: folder / name for name in stored} if stored else {case.name: case for case in find_cases(place)}


def match_predictions(place: Path, *, sources: Mapping[str, Source]) -> dict[str, Path]:
    """The segmentation of each case: a file for a single case, whatever its name, or files of a folder, matched by name."""
    truths = {
        name: Labelled.from_file(source.truth)
        for name, source in sources.items()
        if isinstance(source, Case) and source.truth is not None
    }
    if place.is_file():
        if len(sources) > 1:
            raise UserError(
                f"--prediction {place}: is one file for {len(sources)} cases; give a folder of segmentations"
            )
        for truth in truths.values():
            refuse_same(place, truth=truth.path)
        return dict.fromkeys(sources, place)
    files, unusable = predictions_in(place, truths=truths)
    for name in sources:
        if name in unusable:
            raise UserError(unusable[name])
    found = {name: files[name].path for name in sources if name in files}
    if not found:
        raise UserError(
            f"--prediction {place}: no segmentation named after {first_of(list(sources), shown=1)}; name it CASE_seg.nii.gz"
        )
    return found


def scene_of(name: str, source: Source, *, prediction: Path | None = None, max_gb: float = MAX_GB) -> Scene:
    """Reads a case with its ground truth, if any, and a segmentation; all must be on the same grid."""
    truth = found = None
    if isinstance(source, Path):
        stored = open_case(source)
        image, meta = np.asarray(stored.image), stored.meta
        if stored.labels is not None:
            truth = whole(np.asarray(stored.labels), meta=meta)
    else:
        prepared = prepare_case(source, recipe=Recipe(clip=0), with_truth=False, max_gb=max_gb)
        image, meta = prepared.image, prepared.meta
        if source.truth is not None:
            truth = _labels(source.truth, scheme=source.scheme, place=place_of(meta))
    if prediction is not None:
        found = _labels(prediction, scheme=read_scheme(prediction) or meta["scheme"], place=place_of(meta))
    return make_scene(name, image=image, meta=meta, truth=truth, prediction=found)


def _labels(path: Path, *, scheme: str, place: Place) -> np.ndarray:
    labels, found = read_labels(path, scheme=scheme)
    check_place(found, expected=place, path=path)
    return labels
