"""Checks the per-case table: data/{verdict,fingerprint}.json, metrics/data.json, reports/data/."""

import logging

from brats_cascade.data.checks import validate_cases
from brats_cascade.data.fingerprint import fingerprint
from brats_cascade.data.verdict import cohort_numbers
from brats_cascade.params import Params
from brats_cascade.project import Project, read_table
from brats_cascade.shared import write_json


def validate(project: Project, params: Params) -> None:
    """Writes which cases are used or excluded, with reasons, and the statistics of the accepted cases."""
    docs = project.reports / "data"
    cases = read_table(project.cases, columns=("case", "patient"))
    verdict = validate_cases(cases, docs=docs, labels=params.data.labels)
    numbers = cohort_numbers(cases, verdict=verdict)
    outputs = {
        project.verdict: verdict.as_dict(),
        project.metrics / "data.json": numbers,
        project.fingerprint: fingerprint(cases[cases["case"].isin(verdict.accepted)]),
    }
    for path, content in outputs.items():
        write_json(path, content)
    logging.info("%(accepted)d of %(found)d cases accepted, %(warnings)d with a warning", numbers)
    logging.info("see %s", docs / "index.html")
