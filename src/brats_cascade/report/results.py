"""Renders a record as docs/results/NAME.md, and as the table in README."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade import provenance
from brats_cascade.evaluation.summary import ENOUGH, paired_difference, pick_cases, summarise
from brats_cascade.labels import REGIONS
from brats_cascade.report import paper
from brats_cascade.report.kept import CROSS_VALIDATION, SPLIT, Record
from brats_cascade.report.render import paired_text, render, with_interval

NETWORKS = {row.architecture: row.method for row in paper.PAPER} | {
    "unet": "plain 2-D U-Net",
    "coarse_cascade": "coarse cascade",
}
SEED = 1  # seed of the bootstrap, as in metrics/E/summary.json for the default seed
DIGITS = {"ppv": 2, "sensitivity": 2, "hd95": 1}
RANKS = ("best", "median", "worst")


def results_page(record: Record, *, name: str, pictures: Sequence[Path]) -> str:
    """The page of a record, Markdown; the images of test patients are in the page's folder."""
    facts, shown = _in_order(record.experiments), shown_experiments(record)
    return render(
        "results.md.j2",
        name=name,
        data=record.data,
        facts=facts,
        rows=[_row(record, entry) for entry in facts],
        baseline=record.baseline,
        paper=paper,
        merged=not {1, 3} <= set(record.data.get("classes", (1, 3))),
        paired=_compared(record),
        reference=record.data.get("reference"),
        pilots=_without_pilots(record),
        enough=ENOUGH,
        shown=[entry["experiment"] for entry in shown],
        failures=_failures([record.cases(entry) for entry in shown]),
        notes=_by_note(facts),
        pictures=[path.name for path in pictures],
    )


def readme_table(record: Record, *, page: str, pictures: Sequence[str]) -> str:
    """The text between README's marks: a row per network, the protocol in one sentence, and one image.

    The paths of the page and of the images are relative to README.
    """
    shown = shown_experiments(record)
    return render(
        "readme.md.j2",
        rows=[_row(record, entry) for entry in shown],
        paper=paper,
        named=record.data.get("shown"),
        baseline=record.baseline,
        page=page,
        picture=_median_picture(record, pictures=pictures),
    ).rstrip("\n")


def shown_experiments(record: Record) -> list[dict[str, Any]]:
    """One experiment per architecture: its cross-validation with the most labelled pixels, or else its best on validation.

    Test scores are not used. A record may name the experiments itself.
    """
    facts, named = _in_order(record.experiments), record.data.get("shown")
    if named:
        return sorted(
            (one for one in facts if one["experiment"] in named), key=lambda one: named.index(one["experiment"])
        )
    names = dict.fromkeys(entry["architecture"] for entry in facts)
    return [max((entry for entry in facts if entry["architecture"] == name), key=_rank) for name in names]


def best_on_validation(record: Record) -> list[dict[str, Any]]:
    """For every architecture, the experiment with the highest validation Dice on the split."""
    own = [entry for entry in _in_order(record.experiments) if entry["protocol"] == SPLIT]
    best = {entry["architecture"]: entry for entry in sorted(own, key=lambda entry: entry["validation_dice"])}
    return list(best.values())


def _rank(facts: Mapping[str, Any]) -> tuple[bool, float]:
    crossed = facts["protocol"] == CROSS_VALIDATION
    return crossed, float(facts.get("labelled_pixels") or 0) if crossed else float(facts["validation_dice"])


def _in_order(facts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cross-validations first; networks in the order of NETWORKS."""
    known = list(dict.fromkeys(NETWORKS))
    return sorted(facts, key=lambda entry: (entry["protocol"] == SPLIT, known.index(entry["architecture"])))


def _by_note(facts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Note -> the experiments that it concerns."""
    notes: dict[str, list[str]] = {}
    for entry in facts:
        if entry.get("note"):
            notes.setdefault(entry["note"], []).append(entry["experiment"])
    return notes


def _row(record: Record, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of an experiment's row."""
    cases = record.cases(facts)
    scores = summarise(cases, seed=SEED)
    training, seconds = facts.get("training_seconds"), facts.get("seconds_per_case")
    return {
        "experiment": facts["experiment"],
        "protocol": facts["protocol"],
        "network": NETWORKS[facts["architecture"]],
        "patients": scores["patients"],
        "dice": [with_interval(scores[region]) for region in REGIONS],
        **{
            score: "/".join(f"{scores[region][score]:.{digits}f}" for region in REGIONS)
            for score, digits in DIGITS.items()
        },
        "lesions": _lesions(cases),
        "training": f"{training / 60:.1f} min" if training else "",
        "seconds": f"{seconds:.1f} s" if seconds else "",
        "hardware": _hardware(facts.get("machine", "")),
    }


def _lesions(cases: pd.DataFrame) -> str:
    """The mean lesion-wise Dice of every region; "" unless it was measured for all cases that have the region's Dice."""
    scored = [cases.loc[cases[f"{region}_dice"].notna(), f"{region}_lesion_dice"] for region in REGIONS]
    return "" if any(values.hasnans for values in scored) else "/".join(f"{values.mean():.2f}" for values in scored)


def _hardware(machine: str) -> str:
    """The GPU without its maker, or else the number of cores."""
    cores = re.search(r"\d+ cores?", machine)
    return provenance.card_of(machine).removeprefix("NVIDIA ") or (cores.group() if cores else "")


def _compared(record: Record) -> list[list[str]]:
    """Paired Dice differences between each experiment and the record's reference, in protocols with enough patients.

    The reference is the experiment that the record names, or every U-Net.
    """
    rows = [["experiment", "minus", *(f"Dice {region}" for region in REGIONS)]]
    facts, named = _in_order(record.experiments), record.data.get("reference")
    references = [one for one in facts if (one["experiment"] == named if named else one["architecture"] == "unet")]
    for entry in (entry for entry in facts if entry not in references):
        alike = [other for other in references if all(other[key] == entry[key] for key in ("protocol", "n4"))]
        for reference in alike:
            pair = record.cases(entry), record.cases(reference)
            numbers = [paired_difference(*pair, region=region, seed=SEED) for region in REGIONS]
            if numbers[0]["patients"] >= ENOUGH:
                rows.append([entry["experiment"], reference["experiment"], *map(paired_text, numbers)])
    return rows if len(rows) > 1 else []


def _without_pilots(record: Record) -> list[list[str]]:
    """The Dice of each cross-validation without the patients used to choose its settings, if the record names some."""
    seen = record.data.get("pilots", [])
    rows = [["experiment", "patients", *(f"Dice {region}" for region in REGIONS)]]
    for entry in _in_order(record.experiments) if seen else ():
        if entry["protocol"] == CROSS_VALIDATION:
            cases = record.cases(entry)
            scores = summarise(cases[~cases["case"].isin(seen)], seed=SEED)
            dice = [with_interval(scores[region]) for region in REGIONS]
            rows.append([entry["experiment"], str(scores["patients"]), *dice])
    return rows if len(rows) > 1 else []


def _failures(tables: Sequence[pd.DataFrame]) -> dict[str, Any]:
    """The worst case of the shown networks; means over networks and cases per region and grade; volumes per region."""
    cases = pd.concat(tables)
    means = cases.groupby("case").mean(numeric_only=True)
    worst = str(means["complete_dice"].idxmin())
    by_grade = cases.groupby("grade").mean(numeric_only=True)
    return {
        "case": worst,
        "worst": means.loc[worst].to_dict(),
        "overall": cases.mean(numeric_only=True).to_dict(),
        "volumes": {region: _volume_ratio(cases, region=region) for region in REGIONS},
        "grades": {
            grade: {region: by_grade.loc[grade, f"{region}_dice"] for region in REGIONS} for grade in by_grade.index
        },
    }


def _volume_ratio(cases: pd.DataFrame, *, region: str) -> float:
    """The median of predicted over true volume (sensitivity over PPV) over the cases whose region is not missed."""
    hit = cases[cases[f"{region}_ppv"] > 0]
    return float((hit[f"{region}_sensitivity"] / hit[f"{region}_ppv"]).median())


def _median_picture(record: Record, *, pictures: Sequence[str]) -> dict[str, str] | None:
    """The image of the median test patient for the paper's network with the best validation score that has one."""
    papers = [entry for entry in best_on_validation(record) if entry["architecture"] != "unet"]
    for entry in sorted(papers, key=lambda entry: -entry["validation_dice"]):
        path = next((path for path in pictures if path.endswith(f"_{entry['experiment']}_median.jpg")), None)
        if path:
            cases = record.cases(entry)
            dice = float(cases.loc[cases["case"] == pick_cases(cases)["median"], "complete_dice"].iloc[0])
            return {"path": path, "network": NETWORKS[entry["architecture"]], "dice": f"{dice:.2f}"}
    return None
