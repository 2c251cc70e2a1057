"""A cohort in which only some cases tell necrosis and non-enhancing tumour apart: `data.labels` decides what becomes of it."""

import logging

import pandas as pd

from brats_cascade.errors import UserError
from brats_cascade.labels import FIVE, SCHEMES

LOGGER = logging.getLogger(__name__)


def check_one_label_set(cases: pd.DataFrame, *, labels: str) -> None:
    """Applies `data.labels` to a cohort in which only some schemes tell necrosis and non-enhancing tumour apart.

    Args:
        cases: One row per accepted case, with the columns case and scheme.
        labels: "merge": such a cohort is used with the two as one label (regions stay comparable); "refuse": it is not.

    Raises:
        UserError: Such a cohort, and `labels` is "refuse".
    """
    mixed = mixed_labels(cases)
    if not mixed:
        return
    if labels == "refuse":
        raise UserError(
            f"data.labels: refuse, but {mixed}; set data.labels to merge to train on four classes, or take one kind out"
        )
    LOGGER.warning("%s: all are used with the two as one label; data.labels: refuse would stop here", mixed)


def mixed_labels(cases: pd.DataFrame) -> str:
    """Says in words that only some cases tell necrosis and non-enhancing tumour apart; "" where all do or none does.

    Args:
        cases: One row per case, with the columns case and scheme.

    Returns:
        How many there are of either kind, with the first name of each.
    """
    whole = cases["scheme"].map(lambda scheme: SCHEMES[scheme].canonical_labels == FIVE.canonical_labels).astype(bool)
    if whole.all() or not whole.any():
        return ""
    five, merged = cases.loc[whole, "case"], cases.loc[~whole, "case"]
    return (
        f"{len(five)} cases tell necrosis and non-enhancing tumour apart (first {five.iloc[0]}), {len(merged)} hold "
        f"them as one label (first {merged.iloc[0]})"
    )
