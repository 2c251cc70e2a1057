"""Finds the cases of data.source and fills the volume store: data/volumes, data/cases.parquet."""

import logging

from brats_cascade.data.cases import search
from brats_cascade.data.ingest import ingest as ingest_cases
from brats_cascade.data.pseudonyms import read_key, under_pseudonyms, without_names
from brats_cascade.data.stops import dvc_overlooks
from brats_cascade.data.traces import discreet
from brats_cascade.data.unused import by_reason
from brats_cascade.params import Params
from brats_cascade.project import Project
from brats_cascade.shared import written_whole


def ingest(project: Project, params: Params) -> None:
    """Ingests all cases and writes the per-case table."""
    source = project.root / params.data.source
    found = search(source, layout=params.data.layout, from_params=True)
    if params.data.pseudonyms:
        found = under_pseudonyms(found, key=read_key(project.root))
    options = params.ingest
    table = ingest_cases(
        found.cases,
        root=project.volumes,
        kept=project.ingested,
        recipe=options,
        workers=options.workers,
        scheduler=options.scheduler,
        keep_gb=options.keep_gb,
        max_gb=options.max_gb,
    )
    if params.data.pseudonyms:
        cases = {case.name: case for case in found.cases}
        table["problem"] = [
            without_names(problem, case=cases[name], name=name)
            for name, problem in zip(table["case"], table["problem"], strict=True)
        ]
    table.attrs.update(found.notes(private=params.data.pseudonyms))
    with written_whole(project.cases) as draft:
        table.to_parquet(draft, index=False)
    for line in by_reason(found.unused):
        logging.warning("not used: %s", line)
    for line in dvc_overlooks(source):
        logging.warning("%s", line)
    for case, traces in table.loc[table["traces"] != "", ["case", "traces"]].itertuples(index=False):
        logging.warning("%s: %s; see docs/data.md#de-identification", discreet(case), traces)
    for problem in table.loc[table["problem"] != "", "problem"]:
        logging.warning("%s", problem)
    logging.info("%d cases found, %d stored in %s", len(table), int(table["stored"].sum()), project.volumes)
