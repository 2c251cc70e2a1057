"""reports/sweep.html: the study on one page that needs nothing from outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.report.render import render
from brats_cascade.sweep import figures
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.standing import best, reason_of, retried, score_of, unchanged

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

CONFIG = {"displaylogo": False, "responsive": True}


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page: The HTML file.
        pictures: Name -> PNG file.
    """

    page: Path
    pictures: dict[str, Path]


def write_report(path: Path, *, study: "Study", plan: Plan) -> Report:
    """Writes the page and the pictures.

    Args:
        path: The HTML file; pictures go to the folder `sweep` beside it.
        study: Optuna's.
        plan: What was searched.

    Returns:
        The files.
    """
    from plotly.offline import get_plotlyjs

    trials = study.get_trials(deepcopy=False)
    chosen = best(trials)
    default = unchanged(trials)
    charts = [
        {"name": name, "caption": figures.CAPTIONS[name], "html": _inner(figure)}
        for name, figure in figures.drawn(study, plan=plan).items()
    ]
    text = render(
        "sweep.html.j2",
        study=study.study_name,
        plan=plan,
        tiles=_tiles(trials, chosen=chosen, default=default),
        settings=list(dict.fromkeys(name for trial in trials for name in trial.params)),
        rows=[_row(trial, best=chosen, repeated=retried(trials)) for trial in _ranked(trials)],
        charts=charts,
        plotly=get_plotlyjs() if charts else "",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return Report(path, figures.pictures(study, plan=plan, folder=path.parent / "sweep"))


def _inner(figure: Any) -> str:
    """A figure as HTML, without its title: the page has one."""
    figure.update_layout(title_text="", margin={"t": 30})
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG))


def _tiles(
    trials: "list[FrozenTrial]", *, chosen: "FrozenTrial | None", default: "FrozenTrial | None"
) -> list[tuple[str, str]]:
    """The numbers on top."""
    count = {state: sum(trial.state.name == state for trial in trials) for state in ("COMPLETE", "PRUNED", "FAIL")}
    tiles = [
        (_dice(chosen), f"best, trial {chosen.number}" if chosen else "best"),
        (_dice(default), "the experiment's own settings"),
        (str(count["COMPLETE"]), "trials complete"),
        (str(count["PRUNED"]), "ended early"),
        (str(count["FAIL"]), "failed or lost"),
    ]
    return tiles


def _dice(trial: "FrozenTrial | None") -> str:
    return f"{score_of(trial):.4f}" if trial else "-"


def _ranked(trials: "list[FrozenTrial]") -> "list[FrozenTrial]":
    order = {"COMPLETE": 0, "PRUNED": 1, "FAIL": 2}
    return sorted(
        trials,
        key=lambda trial: (order.get(trial.state.name, 3), -trial.values[0] if trial.values else 0.0, trial.number),
    )


def _row(trial: "FrozenTrial", *, best: "FrozenTrial | None", repeated: set[int]) -> dict[str, Any]:
    last = max(trial.intermediate_values.items(), default=(0, None))[1]
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "best": best is not None and trial.number == best.number,
        "score": _dice(trial) if trial.state.name == "COMPLETE" else "" if last is None else f"({last:.4f})",
        "seconds": trial.user_attrs.get("seconds", ""),
        "parameters": trial.user_attrs.get("parameters", ""),
        "memory": trial.user_attrs.get("peak_memory_mb", ""),
        "params": {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in trial.params.items()},
        "note": reason_of(trial) + ("; tried again" if trial.number in repeated else ""),
    }
