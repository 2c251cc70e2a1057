"""Generates the built-in default cohort: data/raw/phantom."""

import logging

from brats_cascade.data.phantom import make_cohort
from brats_cascade.params import Params
from brats_cascade.project import Project


def phantom(project: Project, params: Params) -> None:
    """Writes the synthetic patients in the BRATS 2013 file layout."""
    options = params.phantom
    written = make_cohort(
        project.phantom,
        patients=options.patients,
        high_grade=options.high_grade,
        seed=options.seed,
        spacing=options.spacing,
    )
    logging.info("%s: %d patients, %d of high grade", project.phantom, len(written), options.high_grade)
