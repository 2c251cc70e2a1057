"""The Optuna study of a plan: made once, opened by every worker, refused where it was made for something else."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from brats_cascade.errors import UserError
from brats_cascade.params.space import point_of
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.standing import counted

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

IDENTITY, DATA = "identity", "data"


def make_study(name: str, *, storage: "BaseStorage", plan: Plan, data_key: str = "") -> "tuple[Study, bool]":
    """Makes a study, with the experiment's own settings as its first trial, or opens it again.

    A study in which no trial has begun, such as one of a command that was mistyped, is made anew.

    Args:
        name: Of the study.
        storage: From `open_storage`.
        plan: What is searched.
        data_key: Stands for the data; scores on other data do not compare.

    Returns:
        The study, and whether the experiment's settings lie in the space and so are its first trial.

    Raises:
        UserError: Its trials were made for another experiment, other fixed settings, another space or other data.
    """
    import optuna

    def opened() -> "Study":
        return optuna.create_study(study_name=name, storage=storage, directions=plan.directions, load_if_exists=True)

    study, wanted = opened(), {IDENTITY: plan.identity(), DATA: data_key}
    if differs := _difference(study, plan=plan, wanted=wanted):
        if counted(study.get_trials(deepcopy=False)):
            raise UserError(
                f"study {name!r}: {differs} differs from what its trials were made with, so that scores would not compare; "
                "give --study another name"
            )
        optuna.delete_study(study_name=name, storage=storage)  # no trial has begun, so nothing is lost
        study = opened()
    for key, value in wanted.items():
        if key not in study.user_attrs:
            study.set_user_attr(key, value)
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(plan.objectives)
    point = point_of(plan.space, train=plan.entry.train)
    if point is not None and not study.get_trials(deepcopy=False):
        study.enqueue_trial(point, user_attrs={"default": True})
    return study, point is not None


def open_study(name: str, *, storage: "BaseStorage", plan: Plan) -> "Study":
    """Opens a study to run trials.

    Args:
        name: Of the study.
        storage: From `open_storage`.
        plan: What is searched.

    Returns:
        The study with the plan's sampler and pruner.
    """
    import optuna

    return optuna.load_study(study_name=name, storage=storage, sampler=make_sampler(plan), pruner=make_pruner(plan))


def make_sampler(plan: Plan) -> "BaseSampler":
    """TPE, which learns from finished trials and keeps away from running ones, or random values."""
    import optuna

    from brats_cascade.sweep.sampler import NumberedSampler

    startup, single = plan.sweep.startup, plan.sweep.second == "none"  # objective

    def make(seed: int) -> "BaseSampler":
        if plan.sweep.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=single, group=single)

    return NumberedSampler(make, seed=plan.sweep.seed)


def make_pruner(plan: Plan) -> "BasePruner":
    """Ends trials that fall behind; none with two objectives, which Optuna does not prune."""
    import optuna

    sweep, train = plan.sweep, plan.entry.train
    if sweep.pruner == "none" or sweep.second != "none":
        return optuna.pruners.NopPruner()
    if sweep.pruner == "hyperband":
        phases = 2 if train.procedure == "two_phase" and train.phase2_steps else 1
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=max(2, train.checks * phases))
    return optuna.pruners.MedianPruner(n_startup_trials=sweep.startup, n_warmup_steps=2)  # rounds count from 1


def _difference(study: "Study", *, plan: Plan, wanted: Mapping[str, str]) -> str:
    """What a study was made with and this command does not have, or ""."""
    if [direction.name.lower() for direction in study.directions] != plan.directions:
        return "sweep.second"
    words = {IDENTITY: "sweep, the experiment or train in params.yaml", DATA: "the data"}
    return next((words[key] for key in wanted if study.user_attrs.get(key, wanted[key]) != wanted[key]), "")
