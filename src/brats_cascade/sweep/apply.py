"""Adds the best trial to params.yaml as an experiment."""

from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial

from brats_cascade.errors import UserError
from brats_cascade.params import load_params, swept_experiment
from brats_cascade.params.file import read_tree, write_params
from brats_cascade.params.space import overrides_of
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
    name, tree = f"{study.study_name}_best", read_tree(path, editable=True)
    found = {  # without insignificant digits
        key: float(f"{value:.6g}") if isinstance(value, float) else value
        for key, value in overrides_of(best.params).items()
    }
    try:
        params = load_params(path)
        if swept_experiment(params.model_copy(update={"sweep": plan.sweep})) != plan.entry:
            raise UserError(f"{plan.sweep.experiment} or train has changed since the sweep started")
        settings = plan.entry.model_copy(update={"train": plan.train_with(found)})
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
