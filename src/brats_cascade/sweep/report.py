"""Writes the pages of a study: reports/sweep.html, which is self-contained, and a short one in Markdown for git."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial

from brats_cascade.project import Project
from brats_cascade.report.render import render
from brats_cascade.shared import write_text
from brats_cascade.sweep import figures
from brats_cascade.sweep.apply import retrained
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.study import DATA
from brats_cascade.sweep.trials import ENDED, best, complete, reason_of, retried, score_of, settings_of, unchanged

WHERE, COMMAND = "where", "command"  # user attributes of a study: its last workers, its command


def write_report(study: Study, *, plan: Plan, root: Path) -> tuple[Path, dict[str, Path]]:
    """Writes reports/sweep.html and the images in reports/sweep; returns the page, and name -> image."""
    from plotly.offline import get_plotlyjs

    path = Project(root).reports / "sweep.html"
    charts = figures.interactive(study, plan=plan)
    shown = [{"name": name, "caption": figures.CAPTIONS[name], "html": html} for name, html in charts.items()]
    code = get_plotlyjs() if charts else ""
    text = render("sweep.html.j2", charts=shown, plotly=code, **_context(study, plan=plan))
    write_text(path, text)
    return path, figures.pictures(study, plan=plan, folder=path.with_suffix(""))


def write_page(path: Path, *, study: Study, plan: Plan, root: Path, command: str) -> None:
    """Writes the page for git, such as docs/results/sweep.md, with an image of the study's history next to it.

    The report must exist already. `command` is the command that writes the page, which names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = Project(root).reports / "sweep" / "history.png"
    picture = path.with_name(f"{path.stem}_history.png") if drawn.is_file() else None
    if picture is not None:
        shutil.copyfile(drawn, picture)
    held = retrained(root, study=study, best=best(study.get_trials(deepcopy=False)), plan=plan)
    more = {"command": command, "picture": picture, "retrained": held, "attributes": study.user_attrs}
    write_text(path, render("sweep.md.j2", data=DATA, **more, **_context(study, plan=plan)))


def _context(study: Study, *, plan: Plan) -> dict[str, Any]:
    """The context of both pages."""
    trials = study.get_trials(deepcopy=False)
    chosen, own, repeated = best(trials), unchanged(trials), retried(trials)
    order = [*ENDED, "RUNNING", "WAITING"]
    ranked = sorted(trials, key=lambda trial: (order.index(trial.state.name), -(trial.values or [0])[0], trial.number))
    return {
        "study": study.study_name,
        "plan": plan,
        "facts": _facts(trials),
        "gain": score_of(chosen) - score_of(own) if chosen and own else None,
        "patients": len(chosen.user_attrs.get("cases", {})) if chosen else 0,
        "settings": list(dict.fromkeys(name for trial in trials for name in trial.params)),
        "rows": [_row(trial, best=chosen, repeated=trial.number in repeated) for trial in ranked],
    }


def _facts(trials: Sequence[FrozenTrial]) -> list[tuple[str, str]]:
    """The main numbers, each with its label."""
    chosen, own = best(trials), unchanged(trials)
    scores = [score_of(trial) for trial in complete(trials)]
    count = [f"{sum(trial.state.name == state for trial in trials)} {word}" for state, word in ENDED.items()]
    facts = [
        ("score of the experiment's own settings", f"{score_of(own):.4f}" if own else "not among the complete trials"),
        ("best score", f"{score_of(chosen):.4f}, trial {chosen.number}" if chosen else "none"),
        ("lowest, median score", f"{min(scores):.4f}, {median(scores):.4f}" if scores else "none"),
        ("trials", f"{', '.join(count)} or lost"),
        ("from the first trial's start to the last one's end", f"{seconds_of(trials):.0f} s"),
    ]
    for kind, word in (("own", "its own"), ("shared", "shared with others")):
        attributes = [trial.user_attrs.get(f"{kind}_memory_mb") for trial in trials]
        if values := [value for value in attributes if value is not None]:
            facts.append((f"memory of a worker, {word}", f"{min(values)} to {max(values)} MB"))
    return facts


def seconds_of(trials: Sequence[FrozenTrial]) -> float:
    """Seconds from the start of the first trial to the end of the last one; 0 while none has ended."""
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete is not None]
    starts = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    return (max(ends) - min(starts)).total_seconds() if ends and starts else 0.0


def _row(trial: FrozenTrial, *, best: FrozenTrial | None, repeated: bool) -> dict[str, Any]:
    last = max(trial.intermediate_values.items(), default=(0, None))[1]
    score = f"({last:.4f})" if last is not None else ""
    notes = [reason_of(trial), "tried again" if repeated else ""]
    return {
        "number": trial.number,
        "state": ENDED.get(trial.state.name, trial.state.name.lower()),
        "best": best is not None and trial.number == best.number,
        "score": f"{score_of(trial):.4f}" if trial.state.name == "COMPLETE" else score,
        "seconds": trial.user_attrs.get("seconds", ""),
        "parameters": trial.user_attrs.get("parameters", ""),
        "memory": trial.user_attrs.get("peak_memory_mb", ""),
        "params": settings_of(trial),
        "note": "; ".join(filter(None, notes)),
    }
