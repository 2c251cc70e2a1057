"""Checks the per-case table: data/{verdict,fingerprint}.json, metrics/data.json, reports/data/."""

import json
import logging
from pathlib import Path

import pandas as pd
from _stage import run

from brats_cascade.config import Params
from brats_cascade.data.checks import cohort_numbers, validate_cases
from brats_cascade.data.fingerprint import fingerprint

TABLE = Path("data/cases.parquet")
VERDICT = Path("data/verdict.json")
FINGERPRINT = Path("data/fingerprint.json")
NUMBERS = Path("metrics/data.json")
DOCS = Path("reports/data")


def main(params: Params) -> None:
    """Writes which cases are used, which are set aside and why, and what the used ones are like."""
    cases = pd.read_parquet(TABLE)
    verdict = validate_cases(cases, docs=DOCS, labels=params.data.labels)
    numbers = cohort_numbers(cases, verdict=verdict)
    outputs = {
        VERDICT: verdict.as_dict(),
        NUMBERS: numbers,
        FINGERPRINT: fingerprint(cases[cases["case"].isin(verdict.accepted)]),
    }
    for path, content in outputs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    logging.info("%(accepted)d of %(found)d cases accepted, %(warnings)d with a warning", numbers)
    logging.info("see %s", DOCS / "index.html")


if __name__ == "__main__":
    run(main)
