"""Makes the embedded default cohort: data/raw/phantom."""

import logging
from pathlib import Path

from _stage import run

from brats_cascade.config import Params
from brats_cascade.data.phantom import make_cohort

FOLDER = Path("data/raw/phantom")


def main(params: Params) -> None:
    """Writes the synthetic patients in the file layout of BRATS 2013."""
    options = params.phantom
    written = make_cohort(
        FOLDER,
        patients=options.patients,
        high_grade=options.high_grade,
        seed=options.seed,
        spacing=options.spacing,
    )
    logging.info("%s: %d patients, %d of high grade", FOLDER, len(written), options.high_grade)


if __name__ == "__main__":
    run(main)
