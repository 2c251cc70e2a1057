"""A sampler whose draws belong to the trial: the same seed and trial number give the same, in any process, on any host."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState


class NumberedSampler(BaseSampler):
    """Samples every trial by a sampler of its own, seeded with the trial's number.

    Workers that begin together share nothing but the study, and a number of their own is known on one host only. A trial's
    number is unique in the study, so no two trials draw alike, and a study that gets more trials goes on as if it had been
    asked for them at once.

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
        self, study: "Study", trial: "FrozenTrial", state: "TrialState", values: "Sequence[float] | None"
    ) -> None:
        """The trial's end."""
        self._own.after_trial(study, trial, state, values)
