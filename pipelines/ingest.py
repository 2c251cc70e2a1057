"""Finds the cases of data.source and fills the volume store: data/volumes, data/cases.parquet."""

import logging
from pathlib import Path

from _stage import run

from brats_cascade.config import Params
from brats_cascade.data.cases import find_cases
from brats_cascade.data.ingest import ingest

VOLUMES = Path("data/volumes")
TABLE = Path("data/cases.parquet")


def main(params: Params) -> None:
    """Ingests every case found and writes the per-case table."""
    cases = find_cases(Path(params.data.source), layout=params.data.layout)
    table = ingest(cases, root=VOLUMES, **params.ingest.model_dump())
    table.to_parquet(TABLE, index=False)
    for problem in table.loc[table["problem"] != "", "problem"]:
        logging.warning("%s", problem)
    logging.info("%d cases found, %d stored in %s", len(table), int(table["stored"].sum()), VOLUMES)


if __name__ == "__main__":
    run(main)
