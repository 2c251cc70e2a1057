"""Creates and opens the Optuna study of a plan."""

import optuna
from optuna.storages import BaseStorage

from brats_cascade.errors import UserError
from brats_cascade.params.space import point_of
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.sampler import make_pruner, make_sampler
from brats_cascade.sweep.trials import counted, experimental

IDENTITY, DATA = "identity", "data"  # user attributes of a study: the settings that its trials share


@experimental()
def make_study(name: str, *, storage: BaseStorage, plan: Plan, data_key: str = "") -> tuple[optuna.Study, bool]:
    """Creates a study whose first trial has the experiment's own settings, or opens an existing one.

    A study without a started trial (of a mistyped command, for example) is created again. `data_key` identifies the data
    and a given CNN 1, because scores with others are not comparable.

    Returns:
        The study, and whether the experiment's settings are in the space and so are the first trial.

    Raises:
        UserError: Its trials have another experiment, other fixed settings, another space or other data.
    """

    def opened() -> optuna.Study:
        return optuna.create_study(study_name=name, storage=storage, directions=plan.directions, load_if_exists=True)

    study, wanted = opened(), {IDENTITY: plan.identity(), DATA: data_key}
    if differs := _difference(study, plan=plan, wanted=wanted):
        if counted(study.get_trials(deepcopy=False)):
            raise UserError(
                f"study {name!r}: {differs} changed after its first trial, so scores are not comparable; "
                "choose another name with --study"
            )
        optuna.delete_study(study_name=name, storage=storage)  # no trial has started, so nothing is lost
        study = opened()
    for key in wanted.keys() - study.user_attrs.keys():
        study.set_user_attr(key, wanted[key])
    if study.metric_names is None:
        study.set_metric_names(plan.objectives)
    point = point_of(plan.space, train=plan.entry.train)
    if point is not None and not study.get_trials(deepcopy=False):
        study.enqueue_trial(point, user_attrs={"default": True})
        _, *more = (trial for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get("default"))
        for trial in more:  # queued by another command at the same moment: only the first one stays, others are sampled
            storage.set_trial_system_attr(trial._trial_id, "fixed_params", {})
            storage.set_trial_user_attr(trial._trial_id, "default", False)
    return study, point is not None


def open_study(name: str, *, storage: BaseStorage, plan: Plan) -> optuna.Study:
    """Opens a study to run trials, with the plan's sampler and pruner."""
    return optuna.load_study(study_name=name, storage=storage, sampler=make_sampler(plan), pruner=make_pruner(plan))


def _difference(study: optuna.Study, *, plan: Plan, wanted: dict[str, str]) -> str:
    """The first thing in which a study differs from this command, or ""."""
    if [direction.name.lower() for direction in study.directions] != plan.directions:
        return "sweep.second"
    words = {IDENTITY: "sweep, the experiment or train in params.yaml", DATA: "the data or CNN 1"}
    return next((words[key] for key in wanted if study.user_attrs.get(key, wanted[key]) != wanted[key]), "")
