"""The part of a run that cannot fail: its id, its client, and what happens when the store goes away."""

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from brats_cascade.tracking.entries import Entry

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BATCH = 1000  # metrics in one request, MLflow's limit over HTTP
# Whose exceptions say that a store failed: MLflow's, its database's, and the clients' of its artifact stores.
_STORES = frozenset(
    {"mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3", "psycopg", "psycopg2", "pymysql", "botocore", "boto3",
     "azure", "google", "paramiko"}
)  # fmt: skip

log = logging.getLogger("brats_cascade.tracking.run")


def is_store_failure(error: BaseException) -> bool:
    """Whether the store has failed; anything else is a mistake in the program, which must be seen."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or not kinds.isdisjoint(_STORES)


@contextlib.contextmanager
def store_may_fail(report: Callable[[Exception], None] | None = None) -> Iterator[None]:
    """A block that asks the store; if that fails the block ends there, and what follows it goes on.

    Args:
        report: Called with the failure.
    """
    try:
        yield
    except Exception as error:
        if not is_store_failure(error):
            raise
        if report is not None:
            report(error)


def quietly(method: Callable[..., None]) -> Callable[..., None]:
    """Makes a logging call that a store which fails cannot stop: after its first failure the run is silent."""

    @functools.wraps(method)
    def call(self: "QuietRun", *args: Any, **kwargs: Any) -> None:
        if not self.online:
            return
        with store_may_fail(self.go_offline):
            method(self, *args, **kwargs)

    return call


class QuietRun:
    """One MLflow run, by its id; no global state.

    Attributes:
        id: MLflow's run id, "" if it could not be opened.
        reopened: True if the run asked for was gone and this is a new one: log again from the files what it held.
        online: False once a call has failed; every later call does nothing.
    """

    def __init__(self, run_id: str, *, client: "MlflowClient | None", uri: str, reopened: bool = False) -> None:
        """Use `start_run` or `resume_run`."""
        self.id = run_id
        self.reopened = reopened
        self.online = client is not None
        self._client = client
        self._uri = uri

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client, for what has no method here."""
        assert self._client is not None
        return self._client

    def tag(self, key: str) -> str | None:
        """A tag of the run; None if it has none, or MLflow cannot be reached."""
        return self._data("tags").get(key)

    def param(self, key: str) -> str | None:
        """A parameter of the run, likewise."""
        return self._data("params").get(key)

    def _data(self, kind: str) -> dict[str, str]:
        if not self.online:
            return {}
        with store_may_fail(self.go_offline):
            return dict(getattr(self.client.get_run(self.id).data, kind))
        return {}

    def log_metrics(self, entries: Sequence[Entry]) -> None:
        """Logs (name, value, step) in as few requests as allowed; numbers that are not there (NaN) are left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value, step in entries if value == value]
        for start in range(0, len(metrics), _BATCH):
            self.client.log_batch(self.id, metrics=metrics[start : start + _BATCH])

    @quietly
    def finish(self, *, status: str = "FINISHED", seconds: float | None = None) -> None:
        """Closes the run.

        Args:
            status: FINISHED, FAILED or KILLED.
            seconds: What its duration is to say, without interruptions; by default the time since it was opened.
        """
        end = None
        if seconds is not None:
            end = int(self.client.get_run(self.id).info.start_time + seconds * 1000)
        self.client.set_terminated(self.id, status, end)

    def go_offline(self, error: Exception) -> None:
        """Reports a failed call on one line and makes every later one do nothing."""
        self.online = False
        reason = " ".join(str(error).split())[:200]
        log.warning(
            "MLflow at %s failed (%s: %s); nothing more is logged there in this run, every number stays in models/, "
            "metrics/ and reports/", self._uri, type(error).__name__, reason,
        )  # fmt: skip
