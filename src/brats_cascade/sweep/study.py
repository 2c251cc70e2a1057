"""Creates and opens the Optuna study of a plan, with its sampler and pruner."""

from collections.abc import Callable

import numpy as np
import optuna
from optuna import pruners, samplers
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from brats_cascade.errors import UserError
from brats_cascade.params.space import point_of
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.trials import counted, experimental

IDENTITY, DATA = "identity", "data"  # user attributes of a study: the settings that its trials share


@experimental()
def make_study(name: str, *, storage: BaseStorage, plan: Plan, data_key: str = "") -> tuple[optuna.Study, bool]:
    """Creates a study whose first trial has the experiment's own settings, or opens an existing one.

    A study without a started trial (of a mistyped command, for example) is created again. `data_key` identifies the data,
    because scores on other data are not comparable.

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
                f"study {name!r}: {differs} differs from what its trials were made with, so that scores would not compare; "
                "give --study another name"
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
    return study, point is not None


def open_study(name: str, *, storage: BaseStorage, plan: Plan) -> optuna.Study:
    """Opens a study to run trials, with the plan's sampler and pruner."""
    return optuna.load_study(study_name=name, storage=storage, sampler=make_sampler(plan), pruner=make_pruner(plan))


def _difference(study: optuna.Study, *, plan: Plan, wanted: dict[str, str]) -> str:
    """The first thing in which a study differs from this command, or ""."""
    if [direction.name.lower() for direction in study.directions] != plan.directions:
        return "sweep.second"
    words = {IDENTITY: "sweep, the experiment or train in params.yaml", DATA: "the data"}
    return next((words[key] for key in wanted if study.user_attrs.get(key, wanted[key]) != wanted[key]), "")


class NumberedSampler(samplers.PartialFixedSampler):
    """Samples every trial with a separate sampler, seeded with the trial's number.

    The same seed and number give the same samples in any process on any host, so workers that start together need to share
    only the study. Trial numbers are unique, so no two trials sample alike, and a study that is extended continues as if it
    had been started with more trials. It is based on Optuna's sampler for partly fixed settings, which passes everything on
    to another sampler; nothing is fixed here. `make` makes a sampler from a seed; `seed` is the study's.
    """

    def __init__(self, make: Callable[[int], samplers.BaseSampler], *, seed: int) -> None:
        super().__init__({}, make(seed))
        self._make, self._seed = make, seed

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Sets the trial's sampler; Optuna calls this before sampling."""
        self._base_sampler = self._make(int(np.random.SeedSequence((self._seed, trial.number)).generate_state(1)[0]))
        super().before_trial(study, trial)


@experimental()
def make_sampler(plan: Plan) -> samplers.BaseSampler:
    """TPE, which learns from finished trials and avoids the settings of running ones, or random sampling."""
    startup, single = plan.sweep.startup, plan.sweep.second == "none"

    @experimental()
    def make(seed: int) -> samplers.BaseSampler:
        if plan.sweep.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=single, group=single)

    return NumberedSampler(make, seed=plan.sweep.seed)


def make_pruner(plan: Plan) -> pruners.BasePruner:
    """The rule that ends unpromising trials; none with two objectives, for which Optuna does not prune."""
    sweep, train = plan.sweep, plan.entry.train
    if sweep.pruner == "none" or sweep.second != "none":
        return pruners.NopPruner()
    if sweep.pruner == "hyperband":
        phases = 2 if train.procedure == "two_phase" and train.phase2_steps else 1
        return pruners.HyperbandPruner(min_resource=1, max_resource=max(2, train.checks * phases))
    return pruners.MedianPruner(n_startup_trials=sweep.startup, n_warmup_steps=2)  # rounds count from 1
