"""Finds the cases of data.source and fills the volume store: data/volumes, data/cases.parquet."""

import logging
from pathlib import Path

from _stage import run

from brats_cascade.config import Params
from brats_cascade.data.cases import search
from brats_cascade.data.ingest import ingest
from brats_cascade.data.stops import dvc_overlooks
from brats_cascade.data.unused import by_reason, note_unused

VOLUMES, KEPT = Path("data/volumes"), Path(".work/ingest")
TABLE = Path("data/cases.parquet")


def main(params: Params) -> None:
    """Ingests every case found and writes the per-case table."""
    found = search(Path(params.data.source), layout=params.data.layout, from_params=True)
    table = ingest(found.cases, root=VOLUMES, kept=KEPT, **params.ingest.model_dump())
    note_unused(table, unused=found.unused)
    table.to_parquet(TABLE, index=False)
    for line in by_reason(found.unused):
        logging.warning("seen, not used: %s", line)
    for line in dvc_overlooks(Path(params.data.source)):
        logging.warning("%s", line)
    for problem in table.loc[table["problem"] != "", "problem"]:
        logging.warning("%s", problem)
    logging.info("%d cases found, %d stored in %s", len(table), int(table["stored"].sum()), VOLUMES)


if __name__ == "__main__":
    run(main)
