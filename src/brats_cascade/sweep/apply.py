"""Adds the best trial to params.yaml as an experiment, and finds that experiment's scores."""

from pathlib import Path
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial

from brats_cascade.costs import read_facts
from brats_cascade.errors import UserError
from brats_cascade.params import ExperimentParams, load_params, swept_experiment
from brats_cascade.params.file import read_tree, write_params
from brats_cascade.params.space import overrides_of
from brats_cascade.project import Project, read_json_if_there
from brats_cascade.shared import written_whole
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.trials import score_of, unchanged


def apply_best(path: Path, *, study: Study, best: FrozenTrial, plan: Plan) -> str:
    """Adds the best trial to params.yaml; `dvc repro` then trains, evaluates and compares it.

    The experiment is called `<study>_best` and replaces an existing one of that name. Nothing is written if no trial is
    better than the experiment's own settings, or if an experiment already has the trial's settings.

    Returns:
        A message for the user.

    Raises:
        UserError: The experiment has changed since the sweep started, so the new one would not be the trial, or the result
            could not be read back; the file is unchanged.
    """
    own = unchanged(study.get_trials(deepcopy=False))
    if own is not None and score_of(best) <= score_of(own):
        reason = f"no trial is better than trial {own.number}, the settings of {plan.sweep.experiment}"
        return f"{path.name}: left as it is; {reason}"
    name, tree, found = best_name(study.study_name), read_tree(path, editable=True), overrides_from(best)
    try:
        params = load_params(path)
        if swept_experiment(params.model_copy(update={"sweep": plan.sweep})) != plan.entry:
            raise UserError(f"{plan.sweep.experiment} or train has changed since the sweep started")
        settings = experiment_of(best, plan=plan)
        same = next((other for other, known in params.experiments.items() if known == settings), None)
        if same is not None:
            return f"{path.name}: left as it is; experiment {same} has the settings of trial {best.number} already"
        tree["experiments"][name] = {**tree["experiments"][plan.sweep.experiment], **plan.sweep.fixed, **found}
        with written_whole(path) as draft:
            write_params(draft, tree)
            load_params(draft)
    except UserError as error:
        raise UserError(f"{path}: left as it was; trial {best.number} does not fit in: {error}") from None
    return f"{path.name}: experiment {name} is this trial; `dvc repro` trains and evaluates it"


def best_name(study: str) -> str:
    """The name of the experiment with the settings of a study's best trial."""
    return f"{study}_best"


def overrides_from(trial: FrozenTrial) -> dict[str, Any]:
    """A trial's values as an experiment gets them: keys of `train`, numbers without insignificant digits."""
    found = overrides_of(trial.params)
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in found.items()}


def experiment_of(trial: FrozenTrial, *, plan: Plan) -> ExperimentParams:
    """The experiment with a trial's settings; a UserError for a value that `train` does not accept."""
    return plan.entry.model_copy(update={"train": plan.train_with(overrides_from(trial))})


def retrained(root: Path, *, study: Study, best: FrozenTrial | None, plan: Plan) -> dict[str, Any] | None:
    """metrics/E/summary.json of the experiment with the best trial's settings; None if it has others, or is not evaluated."""
    name, project = best_name(study.study_name), Project(root)
    known = load_params(root / "params.yaml").experiments.get(name)
    if best is None or known != experiment_of(best, plan=plan):
        return None
    trained = read_facts(root, name=name).get("params", {})  # empty where only metrics/ is there, as in a clone
    if any(trained.get(f"train.{key}", value) != value for key, value in overrides_from(best).items()):
        return None
    return read_json_if_there(project.metrics / name / "summary.json")
