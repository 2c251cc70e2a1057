"""The per-case table as the rules look at it: plain types, and what follows from several columns or several cases."""

import numpy as np
import pandas as pd

from brats_cascade import MODALITIES
from brats_cascade.data.rules import case_rules
from brats_cascade.labels import LABELS, REGIONS, SCHEMES

_TEXTS = (
    *("case", "patient", "grade", "release", "scheme", "folder", "namesake"),
    *("modalities", "problem", "unknown_labels", "traces"),
)
_FLAGS = ("has_truth", "same_grid", "finite")
_NUMBERS = (
    *("brain_fraction", "tumour_cm3", "spacing_slice", "spacing_row", "spacing_column"),
    *(f"{name}_{value}" for name in MODALITIES for value in ("min", "p01", "p50", "p99", "max", "std")),
)


def facts_of(cases: pd.DataFrame) -> pd.DataFrame:
    """The columns that the rules look at, every case with its twin, by name."""
    facts = plain(cases)
    facts["twin"] = _twins(facts, hashes=cases["voxels_hash"].astype("object").fillna("").astype(str))
    return facts.sort_values(["case", "folder"], kind="stable").reset_index(drop=True)


def plain(cases: pd.DataFrame) -> pd.DataFrame:
    """What is known of single cases in plain types: text without nulls, "yes"/"no"/"", float64.

    Two columns are worked out here: the share of the tumour that lies outside the brain, and whether the truth tells
    all regions apart.
    """
    facts = pd.DataFrame({name: cases[name].astype("object").fillna("").astype(str) for name in _TEXTS})
    facts["modalities"] = facts["modalities"].map(_in_our_order)
    for name in _FLAGS:
        facts[name] = [("yes" if value else "no") if pd.notna(value) else "" for value in cases[name]]
    for name in _NUMBERS:
        facts[name] = pd.to_numeric(cases[name]).astype("float64")
    outside = pd.to_numeric(cases["tumour_outside_brain"]).astype("float64")
    tumour = cases[[f"label_{label}" for label in LABELS if label]].astype("float64").sum(axis=1)
    facts["tumour_outside"] = (outside / tumour).where(tumour > 0)
    whole = facts["scheme"].map(lambda scheme: scheme not in SCHEMES or SCHEMES[scheme].regions == tuple(REGIONS))
    facts["regions"] = np.where(whole | (facts["has_truth"] != "yes"), "all", "some")
    return facts


def _in_our_order(modalities: str) -> str:
    names = modalities.split(",") if modalities else []
    return ",".join(sorted(names, key=lambda name: (MODALITIES.index(name) if name in MODALITIES else 9, name)))


def _twins(facts: pd.DataFrame, *, hashes: pd.Series) -> pd.Series:
    """For every row the case with the same voxels that is kept instead of it, "" if there is none.

    Of the rows with one hash the first by name stays, those that no rule sets aside before the others.
    """
    critical = [rule for rule in case_rules(truth=True) if rule.severity == "critical"]
    sound = [not any(rule.broken_by(row) for rule in critical) for row in facts.to_dict("records")]
    usable = pd.Series(sound, index=facts.index) & ~facts["case"].duplicated(keep=False)
    order = facts.assign(_hash=hashes, _later=~usable).sort_values(["_later", "case", "folder"], kind="stable")
    known = order[order["_hash"] != ""]
    first = known.groupby("_hash")["case"].transform("first")
    twin = first.where(known.duplicated("_hash"), "")
    return twin.reindex(facts.index, fill_value="")
