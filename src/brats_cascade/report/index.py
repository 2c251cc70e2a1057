"""Writes reports/index.html, a self-contained page with the pipeline's results."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from brats_cascade import PHANTOM
from brats_cascade.costs import read_cases, trainings_of, weights_of
from brats_cascade.drawing.figures import dice_strip
from brats_cascade.evaluation.regions import NO_MATCH_MM
from brats_cascade.evaluation.summary import ENOUGH, pick_cases
from brats_cascade.labels import REGIONS
from brats_cascade.project import Project, read_json_if_there, read_table_if_there
from brats_cascade.report import paper
from brats_cascade.report.cohort import describe_data
from brats_cascade.report.cost import cost_note, cost_table
from brats_cascade.report.embed import drawn, lazily, photograph, picture
from brats_cascade.report.render import render
from brats_cascade.report.sections import (
    ablation_section,
    duration,
    nine_slices_table,
    paired_section,
    postprocess_section,
)
from brats_cascade.report.viewer import INDEX
from brats_cascade.tracking.champion import best, candidates_here
from brats_cascade.tracking.store import runs_page

SHOWN_PARAMS = (
    "width", "normalisation", "pooling", "class_weights", "optimizer", "learning_rate", "batch", "tile", "steps",
    "phase2_steps", "l1", "l2", "precision", "seed",
)  # fmt: skip
# Key in the template -> name of a figure in reports/figures/E.
DRAWN = {
    "curves": "learning_curves",
    "weights": "class_weights",
    "volumes": "volume_agreement",
    "reliability": "reliability",
}


def build_report(
    root: Path,
    *,
    experiments: Sequence[str],
    baseline: Mapping[str, Any] | None = None,
    runs: str = "",
) -> str:
    """Builds the page from the files of a project: HTML with embedded images, style and script, which loads nothing.

    Every file is optional; experiments without metrics/E/summary.json are listed as not evaluated. `baseline` is from
    `baseline.baseline_summary`. `runs` is the address of the runs in MLflow, by default that of `make ui`.
    """
    parts = [_experiment(root, name=name) for name in experiments]
    done = [part for part in parts if part["summary"]]
    tables = {part["name"]: part["cases"] for part in done if part["cases"] is not None}
    leading = best(candidates_here(root, experiments=[part["name"] for part in done]))  # by validation score
    headline = next((part for part in done if leading and part["name"] == leading.experiment), None)
    pages = sorted((root / "reports/cases").glob("*.html"))  # viewer pages of the best experiment
    compared = (read_json_if_there(Project(root).reports / "comparison.json") or {}).get("experiments", {})
    page = render(
        "index.html.j2",
        experiments=parts,
        done=done,
        regions=list(REGIONS),
        baseline=baseline,
        paper=paper,
        phantom=any(part["run"].get("release") == PHANTOM for part in done),
        cohort=describe_data(root),
        headline=headline,
        costs=cost_table(compared),
        costs_note=cost_note(compared),
        viewers={case.stem: f"cases/{quote(case.name)}" for case in pages if case.name != INDEX},
        ablation=ablation_section(done),
        paired=paired_section(headline["name"] if headline else None, done=done),
        postprocess=postprocess_section(done),
        strip=picture(dice_strip(tables)) if tables else None,
        earlier=nine_slices_table(done),
        no_match=NO_MATCH_MM,
        few=any(part["summary"]["patients"] < ENOUGH for part in done),
        checks="data/index.html" if (root / "reports/data/index.html").is_file() else None,
        mlflow=runs or runs_page(),
    )
    return lazily(page)


def _experiment(root: Path, *, name: str) -> dict[str, Any]:
    """The template's data for one experiment."""
    figures = root / f"reports/figures/{name}"
    run, *_ = trainings = trainings_of(root, name=name)
    given = run.get("params", {})
    summary = read_json_if_there(root / f"metrics/{name}/summary.json")
    cases = read_cases(root, name=name) if (root / f"metrics/{name}/cases.csv").is_file() else None
    return {
        "name": name,
        "run": run,
        "summary": summary,
        "origin": {
            "commit": str(run.get("git_commit") or "")[:12],
            "weights": weights_of(root, name=name)[:12],
            "hashes": {key: str(value)[:12] for key, value in (run.get("data_hashes") or {}).items()},
            "seed": run.get("seed", ""),
        },
        "facts": _facts(trainings, cases=cases),
        "params": {key: given[f"train.{key}"] for key in SHOWN_PARAMS if f"train.{key}" in given},
        **{key: drawn(figures / f"{file}.png") for key, file in DRAWN.items()},
        "cases": cases,
        "case_rows": [] if cases is None else cases.to_dict("records"),
        "nine_slices": read_table_if_there(root / f"metrics/{name}/nine_slices.csv"),
        "shown": _shown_cases(figures, cases=cases),
    }


def _shown_cases(folder: Path, *, cases: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Best, median and worst case: overlay and per-slice curve, as drawn by evaluation."""
    if cases is None or cases.empty:
        return []
    shown = []
    for rank, case in pick_cases(cases).items():
        scores = cases.loc[cases["case"] == case].iloc[0]
        overlay = folder / f"{rank}_overlay.png"
        shown.append(
            {
                "rank": rank,
                "case": case,
                "dice": {region: float(scores[f"{region}_dice"]) for region in REGIONS},
                "overlay": photograph(overlay) if overlay.is_file() else None,
                "curve": drawn(folder / f"{rank}_slices.png"),
            }
        )
    return shown


def _facts(trainings: Sequence[Mapping[str, Any]], *, cases: pd.DataFrame | None) -> dict[str, str]:
    """Facts of a run, from `costs.trainings_of`, and the time per case from the table of cases."""
    run = trainings[0]
    brains = None if cases is None or cases["seconds"].isna().all() else float(cases["seconds"].mean())
    facts = {
        "architecture": run.get("architecture"),
        "builds on": run.get("builds_on"),
        "parameters": f"{run['parameters']:,}" if "parameters" in run else None,
        "labelled pixels seen": _with_cnn1(trainings, key="labelled_pixels", form="{:,}".format),
        "training time": _with_cnn1(trainings, key="seconds", form=duration),
        "time per case": None if brains is None else duration(brains),
        "peak memory, training": f"{run['peak_memory_mb'] / 1000:.1f} GB" if run.get("peak_memory_mb") else None,
        "trained on": run.get("machine"),
        "release": run.get("release"),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _with_cnn1(trainings: Sequence[Mapping[str, Any]], *, key: str, form: Callable[[Any], str]) -> str | None:
    """The sum of a number of a training and that of the CNN 1 that it builds on; None if either is not known."""
    known = [training[key] for training in trainings if key in training]
    if len(known) < len(trainings):
        return None
    return form(sum(known)) + "".join(f", {form(part)} of it for CNN 1" for part in known[1:])
