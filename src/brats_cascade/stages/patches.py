"""Draws the patch sets: data/patches/{phase1,phase2}.parquet and summary.json; shards/ if patches.export is set."""

import logging
import shutil

from brats_cascade.data.census import classes_of, count_voxels
from brats_cascade.data.kept import CACHE, share_with_dvc
from brats_cascade.data.patch_files import write_patch_files
from brats_cascade.data.patches import draw_patch_sets, summarise
from brats_cascade.data.split import SETS
from brats_cascade.errors import UserError
from brats_cascade.params import Params
from brats_cascade.project import Project, read_json
from brats_cascade.shared import write_json, written_whole


def patches(project: Project, params: Params) -> None:
    """Draws the patch centres of both training sets."""
    share_with_dvc(project.ingested, cache=project.root / CACHE)  # DVC has cached the store by now
    splits = read_json(project.splits)
    folders = {name: [project.volumes / case for case in splits[name]] for name in SETS}
    classes = classes_of([folder for name in SETS for folder in folders[name]])
    options = params.patches
    asked = {"phase1": options.phase1, "phase2": options.phase2}
    census = count_voxels(folders["train"], classes=classes, border=options.border)
    if not census.eligible.any():
        raise UserError(
            f"patches.border: expected brain at least {options.border} pixels from the edge of the slices, found none in the "
            f"{len(folders['train'])} training cases; lower it"
        )
    tables = draw_patch_sets(folders["train"], census=census, seed=options.seed, **asked)
    summary = summarise(tables, asked=asked, census=census, seed=options.seed)
    shards = project.patches / "shards"
    shutil.rmtree(shards, ignore_errors=True)
    for name, table in tables.items():
        with written_whole(project.patches / f"{name}.parquet") as draft:
            table.to_parquet(draft, index=False)
        if options.export:
            write_patch_files(
                table, volumes=project.volumes, out=shards, name=name, size=options.export, seed=options.seed
            )
    write_json(project.patches / "summary.json", summary)
    for note in summary["notes"]:
        logging.info("%s", note)
