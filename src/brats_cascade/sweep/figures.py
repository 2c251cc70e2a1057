"""Optuna's figures of a study: interactive ones for the page, images for MLflow."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from optuna import Study

from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.trials import complete, score_of

log = logging.getLogger(__name__)

LABEL = "complete Dice, validation"
CAPTIONS = {
    "history": "Score of every trial, and the best so far.",
    "validation": "Validation Dice of every trial during training; short curves were ended early.",
    "importances": "How much of the spread of scores each setting explains (PED-ANOVA).",
    "slice": "Score against each setting.",
    "parallel": "All settings of every trial; drag along an axis to filter.",
    "pareto": "Dice against the second objective; no trial is better in both than those on the front.",
}


def interactive(study: Study, *, plan: Plan) -> dict[str, str]:
    """The figures for which a study has enough trials: key of CAPTIONS -> HTML, without plotly's code."""
    import optuna.visualization as charts

    found = _draw(study, plan=plan, charts=charts)
    if "validation" in found:
        found["validation"].update_layout(xaxis_title="validation round", yaxis_title=LABEL)
    for figure in found.values():
        figure.update_layout(title_text="", margin={"t": 30})  # the page has its own title
    config = {"displaylogo": False, "responsive": True}
    return {
        name: str(figure.to_html(full_html=False, include_plotlyjs=False, config=config))
        for name, figure in found.items()
    }


def pictures(study: Study, *, plan: Plan, folder: Path) -> dict[str, Path]:
    """The same figures as PNG files in a folder."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import optuna.visualization.matplotlib as charts

    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, axes in _draw(study, plan=plan, charts=charts).items():
        found[name] = folder / f"{name}.png"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.ravel(axes)[0].figure.savefig(found[name], dpi=110, bbox_inches="tight")
    plt.close("all")
    return found


def _draw(study: Study, *, plan: Plan, charts: Any) -> dict[str, Any]:
    """Draws with one of Optuna's two figure modules, which have the same functions."""
    done = complete(study.get_trials(deepcopy=False))
    if not done:
        return {}
    dice: dict[str, Any] = {"target_name": LABEL}
    if len(plan.objectives) > 1:
        dice["target"] = score_of
    jobs: dict[str, Callable[[], Any]] = {
        "history": lambda: charts.plot_optimization_history(study, **dice),
        "slice": lambda: charts.plot_slice(study, **dice),
        "parallel": lambda: charts.plot_parallel_coordinate(study, **dice),
    }
    if any(trial.intermediate_values for trial in done):
        jobs["validation"] = lambda: charts.plot_intermediate_values(study)
    if len({score_of(trial) for trial in done}) > 1 and set.intersection(*(set(trial.params) for trial in done)):
        jobs["importances"] = lambda: charts.plot_param_importances(study, **dice)
    if len(plan.objectives) > 1:
        jobs["pareto"] = lambda: charts.plot_pareto_front(study, target_names=[LABEL, plan.objectives[1]])
    found = {}
    for name in (name for name in CAPTIONS if name in jobs):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[name] = jobs[name]()
        except Exception as error:  # a missing figure is acceptable, because the study has all numbers
            log.warning("figure %s not drawn: %s: %s", name, type(error).__name__, error)
    return found
