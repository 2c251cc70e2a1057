"""A process that runs trials: `python -m brats_cascade.sweep.worker`, with its pickled orders on standard input.

The parent process has set the devices and the number of threads in the environment (sweep/workers.py).
"""

import gc
import logging
import os
import pickle
import sys
import time

import optuna

from brats_cascade.backend import keep_quiet, start_backend
from brats_cascade.errors import UserError, start_log
from brats_cascade.leaving import leaving
from brats_cascade.orphans import watch
from brats_cascade.shared import turn
from brats_cascade.sweep.material import open_material
from brats_cascade.sweep.objective import Objective, TrialFailed
from brats_cascade.sweep.plan import Orders
from brats_cascade.sweep.storage import open_storage
from brats_cascade.sweep.study import open_study
from brats_cascade.sweep.trials import counted, give_up_lost, stale_for

log = logging.getLogger(__name__)
UNFINISHED = 75  # exit status: trials are left for a new process with fresh memory
TRIALS_PER_PROCESS = 10
FAILURES_IN_A_ROW = 5


def run_trials(study: optuna.Study, objective: Objective) -> int:
    """Runs trials in this process until the study has enough of them.

    Optuna's MaxTrialsCallback is not suitable: it counts a lost trial and its repetition as two, ends while a trial that
    may be lost runs elsewhere, and lets every worker start one trial too many.

    Returns:
        Exit status: 0, or UNFINISHED.

    Raises:
        UserError: Several trials in a row failed.
    """
    for _ in range(TRIALS_PER_PROCESS):
        with turn(objective.orders.folder / "turn.lock") as own_turn:  # workers look for work one at a time
            if not _wanted(study, orders=objective.orders):
                return 0
            objective.begun = own_turn.close  # the next worker continues as soon as this trial has its number
            try:
                study.optimize(objective, n_trials=1, catch=(TrialFailed,))
            except (optuna.exceptions.UpdateFinishedTrialError, ValueError) as error:
                if isinstance(error, ValueError) and "Cannot tell" not in str(error):
                    raise
                log.warning(
                    "another process marked this trial as failed (%s); continuing with the next one",
                    error,
                )
        if len(objective.failures) >= FAILURES_IN_A_ROW:
            last = objective.failures[-1]
            raise UserError(f"{FAILURES_IN_A_ROW} trials failed in a row; the last one: {last}")
        if "keras" in sys.modules:
            sys.modules["keras"].utils.clear_session()
        gc.collect()
    return UNFINISHED


def _wanted(study: optuna.Study, *, orders: Orders) -> bool:
    """Whether to run another trial; waits while others run that may turn out to be lost."""
    sweep = orders.plan.sweep
    looks = 0  # a lost trial is marked and requeued in two steps; in between, a study looks finished
    while orders.deadline is None or time.time() < orders.deadline:
        give_up_lost(study, retries=sweep.retries)
        known = study.get_trials(deepcopy=False)
        if sweep.patience and stale_for(known) >= sweep.patience:
            log.info("no improvement for %d trials: the study ends", sweep.patience)
            return False
        begun = counted(known)
        if len(begun) < orders.trials:
            return True
        looks = 0 if any(trial.state.name == "RUNNING" for trial in begun) else looks + 1
        if looks == 2:
            return False
        time.sleep(1)
    return False


def main() -> None:
    """Opens the study and the data, and runs trials; returns the exit status of `run_trials`."""
    keep_quiet()
    start_log(level="INFO", form="%(asctime)s %(levelname)s %(name)s: %(message)s")
    parent, orders = pickle.load(sys.stdin.buffer)
    watch(lambda: os.getppid() == parent, end=lambda: os._exit(1))
    with leaving():
        try:
            sweep = orders.plan.sweep
            storage = open_storage(orders.storage, heartbeat=sweep.heartbeat, retries=sweep.retries)
            study = open_study(orders.study, storage=storage, plan=orders.plan)
            start_backend()
            sys.exit(run_trials(study, Objective(orders, open_material(orders.root))))
        except UserError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
