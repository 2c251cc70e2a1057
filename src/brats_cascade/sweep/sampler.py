"""How a study chooses settings and ends trials that fall behind."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.trials import experimental

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial, TrialState


class NumberedSampler(BaseSampler):
    """Samples every trial by a sampler of its own, seeded with the trial's number.

    The same seed and number give the same draws in any process, on any host: workers that begin together share nothing but
    the study. A trial's number is unique in the study, so no two trials draw alike, and a study that gets more trials goes
    on as if it had been asked for them at once.

    Args:
        make: From a seed to a sampler.
        seed: Of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], *, seed: int) -> None:
        self._make, self._seed = make, seed
        self._own = make(seed)

    def before_trial(self, study: "Study", trial: "FrozenTrial") -> None:
        """Takes the trial's sampler; Optuna calls this before anything is drawn."""
        self._own = self._make(int(np.random.SeedSequence((self._seed, trial.number)).generate_state(1)[0]))
        self._own.before_trial(study, trial)

    def infer_relative_search_space(self, study: "Study", trial: "FrozenTrial") -> "dict[str, BaseDistribution]":
        """As the trial's sampler does it; so are the others."""
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: "Study", trial: "FrozenTrial", search_space: "dict[str, BaseDistribution]"
    ) -> dict[str, Any]:
        """Parameters that are drawn together."""
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: "Study", trial: "FrozenTrial", param_name: str, param_distribution: "BaseDistribution"
    ) -> Any:
        """A parameter that is drawn by itself."""
        return self._own.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: "Study", trial: "FrozenTrial", state: "TrialState", values: Sequence[float] | None
    ) -> None:
        """The trial's end."""
        self._own.after_trial(study, trial, state, values)


def make_sampler(plan: Plan) -> BaseSampler:
    """TPE, which learns from finished trials and keeps away from running ones, or random values."""
    startup, single = plan.sweep.startup, plan.sweep.second == "none"

    @experimental()
    def make(seed: int) -> BaseSampler:
        if plan.sweep.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=single, group=single)

    return NumberedSampler(make, seed=plan.sweep.seed)


def make_pruner(plan: Plan) -> "BasePruner":
    """Ends trials that fall behind; none with two objectives, which Optuna does not prune."""
    sweep, train = plan.sweep, plan.entry.train
    if sweep.pruner == "none" or sweep.second != "none":
        return optuna.pruners.NopPruner()
    if sweep.pruner == "hyperband":
        phases = 2 if train.procedure == "two_phase" and train.phase2_steps else 1
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=max(2, train.checks * phases))
    return optuna.pruners.MedianPruner(n_startup_trials=sweep.startup, n_warmup_steps=2)  # rounds count from 1
