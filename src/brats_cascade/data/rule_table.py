"""Prepares the per-case table for the rules: plain types, and columns derived from several columns or cases."""

from typing import Any

import numpy as np
import pandas as pd

from brats_cascade import MODALITIES
from brats_cascade.data.facts import COLUMNS
from brats_cascade.data.rules import SCAN_RULES, TRUTH_RULES
from brats_cascade.labels import LABELS, REGIONS, SCHEMES


def facts_of(cases: pd.DataFrame) -> pd.DataFrame:
    """The table that the rules check, by case name, with the twin of every case."""
    facts = plain(cases)
    facts["twin"] = _twins(facts)
    return facts.sort_values(["case", "folder"], kind="stable").reset_index(drop=True)


def plain(cases: pd.DataFrame) -> pd.DataFrame:
    """Converts the values of single cases to plain types: text without nulls, "yes"/"no"/"", float64.

    Adds two columns: the share of the tumour that lies outside the brain, and whether the ground truth distinguishes all
    regions.
    """
    data: dict[str, Any] = {}
    for column, kind in COLUMNS.items():
        if kind == "str":
            data[column] = cases[column].astype("object").fillna("").astype(str)
        elif kind in ("bool", "boolean"):
            data[column] = [("yes" if value else "no") if pd.notna(value) else "" for value in cases[column]]
        else:
            data[column] = pd.to_numeric(cases[column]).astype("float64")
    facts = pd.DataFrame(data)
    facts["modalities"] = facts["modalities"].map(_in_our_order)
    tumour = facts[[f"label_{label}" for label in LABELS if label]].sum(axis=1)
    facts["tumour_outside"] = (facts["tumour_outside_brain"] / tumour).where(tumour > 0)
    whole = facts["scheme"].map(lambda scheme: scheme not in SCHEMES or SCHEMES[scheme].regions == tuple(REGIONS))
    facts["regions"] = np.where(whole | (facts["has_truth"] != "yes"), "all", "some")
    return facts


def _in_our_order(modalities: str) -> str:
    names = modalities.split(",") if modalities else []
    return ",".join(sorted(names, key=lambda name: (MODALITIES.index(name) if name in MODALITIES else 9, name)))


def _twins(facts: pd.DataFrame) -> pd.Series:
    """For every row, the case with the same voxels that is kept instead, or "" if there is none.

    Among rows with the same hash, the first by name is kept; cases that break no rule are preferred.
    """
    critical = [rule for rule in (*SCAN_RULES, *TRUTH_RULES) if rule.severity == "critical"]
    sound = [not any(rule.broken_by(row) for rule in critical) for row in facts.to_dict("records")]
    usable = pd.Series(sound, index=facts.index) & ~facts["case"].duplicated(keep=False)
    order = facts.assign(_later=~usable).sort_values(["_later", "case", "folder"], kind="stable")
    known = order[order["voxels_hash"] != ""]
    first = known.groupby("voxels_hash")["case"].transform("first")
    twin = first.where(known.duplicated("voxels_hash"), "")
    return twin.reindex(facts.index, fill_value="")
