"""A study as a short Markdown page for git: its best settings, its costs, and the score of the retrained experiment."""

import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brats_cascade.project import Project
from brats_cascade.report.render import markdown_table
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.report import Report
from brats_cascade.sweep.standing import best, complete, reason_of, retried, score_of, unchanged
from brats_cascade.sweep.study import DATA

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

PICTURE, COMMAND = "history", "command"
ENDS = {"PRUNED": "ended early", "FAIL": "failed"}


def write_page(
    path: Path, *, study: "Study", plan: Plan, report: Report, words: Sequence[str], metrics: Mapping[str, Any]
) -> None:
    """Writes the page, with the picture of the study's history beside it.

    Args:
        path: Such as docs/results/sweep.md.
        study: Optuna's.
        plan: What was searched.
        report: The pictures.
        words: The command that ran the sweep.
        metrics: metrics/<study>_best/summary.json, or empty where `dvc repro` has not trained the best settings yet.
    """
    trials = study.get_trials(deepcopy=False)
    where = study.user_attrs.get("where", {})
    lines = [
        f"# Sweep: {study.study_name}",
        f"Written by `{shlex.join(words)}`. Trials: `{study.user_attrs.get(COMMAND, 'unknown')}`, at commit "
        f"{where.get('commit', 'unknown')}, on {where.get('machine', 'unknown')}, with "
        f"{where.get('workers', 'an unknown number of')} worker(s); "
        f"data {study.user_attrs.get(DATA) or 'not hashed'}.",
        f"Score: {_measure(plan)}.",
        markdown_table(_scores(trials)),
        *_verdict(trials),
        markdown_table(_all(trials)),
        *_promise(metrics, study=study.study_name),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    if PICTURE in report.pictures:
        picture = path.with_name(f"{path.stem}_{PICTURE}.png")
        shutil.copyfile(report.pictures[PICTURE], picture)
        lines.append(f"![the score of every trial, and the best so far]({picture.name})")
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def read_metrics(root: Path, *, study: str) -> dict[str, Any]:
    """What `dvc repro` found for the experiment that `--apply` made of a study, or nothing."""
    path = Project(root).metrics / f"{study}_best" / "summary.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def seconds_of(trials: "Sequence[FrozenTrial]") -> float:
    """From the first trial's start to the last one's end, s; 0 while none has ended."""
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete is not None]
    starts = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    return (max(ends) - min(starts)).total_seconds() if ends and starts else 0.0


def _measure(plan: Plan) -> str:
    return (
        "mean complete Dice of the validation patients, every slice, without post-processing; trials of "
        f"{plan.sweep.experiment}, the first with its own settings"
    )


def _scores(trials: "Sequence[FrozenTrial]") -> list[list[str]]:
    done, chosen = complete(trials), best(trials)
    own = unchanged(trials)
    scores = [score_of(trial) for trial in done]
    count = {state: sum(trial.state.name == state for trial in trials) for state in ("COMPLETE", "PRUNED", "FAIL")}
    memory = {
        kind: [
            float(trial.user_attrs[f"{kind}_memory_mb"]) for trial in trials if f"{kind}_memory_mb" in trial.user_attrs
        ]
        for kind in ("own", "shared")
    }
    return [
        ["", "complete Dice, validation"],
        ["the experiment's own settings", f"{score_of(own):.4f}" if own else "not among the complete trials"],
        ["best", f"{score_of(chosen):.4f}, trial {chosen.number}" if chosen else "none"],
        ["least, median", f"{min(scores):.4f}, {np.median(scores):.4f}" if scores else "none"],
        ["trials", f"{count['COMPLETE']} complete, {count['PRUNED']} ended early, {count['FAIL']} failed or lost"],
        ["from the first trial's start to the last one's end", f"{seconds_of(trials):.0f} s"],
        *(
            [f"memory of a worker, {word}", f"{min(values):.0f} to {max(values):.0f} MB"]
            for word, values in (("its own", memory["own"]), ("shared with others", memory["shared"]))
            if values
        ),
    ]


def _verdict(trials: "Sequence[FrozenTrial]") -> list[str]:
    """Whether the sweep found better settings, and on how many cases."""
    chosen = best(trials)
    own = unchanged(trials)
    if chosen is None or own is None:
        return []
    patients = len(chosen.user_attrs.get("cases", {}))
    gain = score_of(chosen) - score_of(own)
    if gain <= 0:
        return ["The sweep found nothing better than the experiment's own settings."]
    found = f"The sweep found better settings, by {gain:.4f}"
    return [f"{found} on {patients} cases." if patients else f"{found}."]


def _all(trials: "Sequence[FrozenTrial]") -> list[list[str]]:
    repeated = retried(trials)
    rows = [["trial", "how it ended", "score", "seconds", "settings"]]
    for trial in sorted(trials, key=lambda trial: trial.number):
        word = ENDS.get(trial.state.name, trial.state.name.lower())
        note = f": {reason_of(trial)}" if reason_of(trial) else ""
        last = max(trial.intermediate_values.items(), default=(0, float("nan")))[1]
        score = f"{score_of(trial):.4f}" if trial.state.name == "COMPLETE" else f"({last:.4f})"
        settings = ", ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in trial.params.items()
        )
        tried = "; tried again" if trial.number in repeated else ""
        rows.append([str(trial.number), word + note + tried, score, str(trial.user_attrs.get("seconds", "")), settings])
    return rows


def _promise(metrics: Mapping[str, Any], *, study: str) -> list[str]:
    held = metrics.get("validation", {}).get("complete", {}).get("dice_without")
    if held is None:
        return []
    test = metrics["complete"]["dice"]
    return [
        f"`dvc repro` then trained the experiment {study}_best from its lines in params.yaml: {held:.4f} by the same measure "
        f"on the same patients, and {test:.4f} on the test patients, after post-processing."
    ]
