"""How a study chooses the settings of its trials, and which trials it ends early."""

from collections.abc import Callable

import numpy as np
from optuna import Study, pruners, samplers
from optuna.trial import FrozenTrial

from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.trials import experimental


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

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
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
    if not plan.prunes:
        return pruners.NopPruner()
    if sweep.pruner == "hyperband":
        phases = 2 if train.phases == "two_phase" else 1
        return pruners.HyperbandPruner(min_resource=1, max_resource=max(2, train.checks * phases))
    return pruners.MedianPruner(n_startup_trials=sweep.startup, n_warmup_steps=2)  # rounds count from 1
