"""Splits the accepted cases by patient: data/splits.json."""

import logging

import pandas as pd

from brats_cascade.data.split import (
    SETS,
    Split,
    check_no_leak,
    fold_split,
    release_split,
    split_by_lists,
    split_patients,
)
from brats_cascade.errors import UserError
from brats_cascade.params import Params, SplitParams
from brats_cascade.project import Project, read_json, read_table
from brats_cascade.shared import write_json


def split(project: Project, params: Params) -> None:
    """Draws validation and test patients, and refuses a leak."""
    accepted = read_json(project.verdict)["accepted"]
    cases = read_table(project.cases, columns=("case", "patient"))
    cases = cases[cases["case"].isin(accepted)]
    drawn = _split(cases, options=params.split)
    check_no_leak(drawn, cases)
    write_json(project.splits, drawn.as_dict())
    logging.info("patients: %s", ", ".join(f"{name} {len(drawn.patients[name])}" for name in SETS))


def _split(cases: pd.DataFrame, *, options: SplitParams) -> Split:
    """Applies, in this order: lists of names, a test release, a fold, or a random hold-out split."""
    lists = options.lists
    if lists.validation or lists.test:
        if not (lists.validation and lists.test):
            raise UserError(
                "split.lists: expected names in both validation and test, received one list: fill the other"
            )
        return split_by_lists(cases, validation=lists.validation, test=lists.test)
    if options.test_release:
        return release_split(cases, release=options.test_release, validation=options.validation, seed=options.seed)
    if options.folds:
        return fold_split(
            cases, folds=options.folds, fold=options.fold, validation=options.validation, seed=options.seed
        )
    return split_patients(cases, validation=options.validation, test=options.test, seed=options.seed)
