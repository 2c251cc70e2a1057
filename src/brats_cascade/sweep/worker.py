"""One process that runs trials: `python -m brats_cascade.sweep.worker`, its orders as JSON on standard input.

The process that starts it has set the devices and the number of threads in its environment (sweep/devices.py).
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from brats_cascade.backend import keep_quiet
from brats_cascade.errors import UserError

if TYPE_CHECKING:
    from optuna import Study

    from brats_cascade.sweep.objective import Objective
    from brats_cascade.sweep.plan import Plan

log = logging.getLogger(__name__)
AGAIN = 75  # exit status: trials are left, for a new process with fresh memory
TRIALS_PER_PROCESS = 10
FAILURES_IN_A_ROW = 5


def work(orders: Mapping[str, Any]) -> int:
    """Runs trials until there is nothing left to do.

    Args:
        orders: study, storage, plan (`Plan.as_dict`), root, work (the study's folder), trials (in all), deadline (epoch
            seconds or None), parent (MLflow's run of the study).

    Returns:
        Exit status: 0, or AGAIN.

    Raises:
        UserError: Trials fail one after another.
    """
    from brats_cascade.backend import start_backend
    from brats_cascade.sweep.material import open_material
    from brats_cascade.sweep.objective import Objective
    from brats_cascade.sweep.plan import Plan
    from brats_cascade.sweep.storage import open_storage
    from brats_cascade.sweep.study import open_study

    plan, root, folder = Plan.from_dict(orders["plan"]), Path(orders["root"]), Path(orders["work"])
    storage = open_storage(orders["storage"], heartbeat=plan.sweep.heartbeat, retries=plan.sweep.retries)
    study = open_study(orders["study"], storage=storage, plan=plan)
    start_backend()
    objective = Objective(orders["study"], plan, open_material(root), root, folder, parent=orders["parent"])
    return run_trials(study, objective, plan=plan, trials=orders["trials"], deadline=orders["deadline"])


def run_trials(study: "Study", objective: "Objective", *, plan: "Plan", trials: int, deadline: float | None) -> int:
    """Runs trials in this process.

    Args:
        study: Optuna's.
        objective: Runs one.
        plan: What is searched.
        trials: How many the study should have in all, those of other processes included.
        deadline: Epoch seconds after which none begins, or None.

    Returns:
        Exit status: 0, or AGAIN.

    Raises:
        UserError: Trials fail one after another.
    """
    import gc

    import optuna

    from brats_cascade.sweep.objective import TrialFailed

    for _ in range(TRIALS_PER_PROCESS):
        with _turn(objective.work / "turn.lock") as turn:
            if not _wanted(study, plan=plan, trials=trials, deadline=deadline):
                return 0
            objective.begun = turn.close  # the next worker looks as soon as this trial has its number
            try:
                study.optimize(objective, n_trials=1, catch=(TrialFailed,))
            except (optuna.exceptions.UpdateFinishedTrialError, ValueError) as error:
                if isinstance(error, ValueError) and "Cannot tell" not in str(error):
                    raise
                log.warning("a trial was given up elsewhere while it ran here (%s); going on with the next one", error)
        if len(objective.failures) >= FAILURES_IN_A_ROW:
            raise UserError(
                f"{FAILURES_IN_A_ROW} trials failed one after another; the last one: {objective.failures[-1]}"
            )
        if "keras" in sys.modules:
            sys.modules["keras"].utils.clear_session()
        gc.collect()
    return AGAIN


def _wanted(study: "Study", *, plan: "Plan", trials: int, deadline: float | None) -> bool:
    """Says whether to run another trial; waits while others run whose loss would leave one to do."""
    from brats_cascade.sweep.lost import give_up_lost
    from brats_cascade.sweep.standing import counted, stale_for

    looks = 0  # a trial is given up and queued again in two moves; between them a study looks done
    while deadline is None or time.time() < deadline:
        give_up_lost(study, storage_retries=plan.sweep.retries)
        known = study.get_trials(deepcopy=False)
        if plan.sweep.patience and stale_for(known) >= plan.sweep.patience:
            log.info("no improvement for %d trials: the study ends", plan.sweep.patience)
            return False
        begun = counted(known)
        if len(begun) < trials:
            return True
        looks = 0 if any(trial.state.name == "RUNNING" for trial in begun) else looks + 1
        if looks == 2:
            return False
        time.sleep(1)
    return False


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[IO[str]]:
    """Workers of one host look for work one after the other; closing the file ends the turn, and so does a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it is gone, however that ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    """The process."""
    keep_quiet()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("alembic", "mlflow", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    orders = json.loads(sys.stdin.read())
    threading.Thread(target=_end_with, args=(orders["pid"],), daemon=True).start()
    try:
        status = work(orders)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
