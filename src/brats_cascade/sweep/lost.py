"""Trials whose process is gone: noticed by Optuna's heartbeat, or, where a storage has none, on the host that ran them."""

import contextlib
import warnings
from typing import TYPE_CHECKING

from brats_cascade.sweep.objective import host_name
from brats_cascade.sweep.standing import retried
from brats_cascade.sweep.storage import has_heartbeat

if TYPE_CHECKING:
    from optuna import Study


def give_up_lost(study: "Study", *, storage_retries: int) -> None:
    """Marks lost trials as failed and queues each again, at most `storage_retries` times.

    Args:
        study: Optuna's.
        storage_retries: For storages without heartbeat; the others were given it when they were opened.
    """
    import optuna
    import psutil

    storage = study._storage
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if has_heartbeat(getattr(storage, "_backend", storage)):
            optuna.storages.fail_stale_trials(study)
            return
        queue_again = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=storage_retries)
    trials = study.get_trials()
    for trial in trials:
        gone = trial.user_attrs.get("host") == host_name() and not psutil.pid_exists(trial.user_attrs.get("pid", 0))
        if trial.state.name != "RUNNING" or not gone or trial.number in retried(trials):
            continue
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            if storage.set_trial_state_values(trial._trial_id, state=optuna.trial.TrialState.FAIL):
                queue_again(study, storage.get_trial(trial._trial_id))
