"""Limits the effect of a failing store to one log line."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from brats_cascade.tracking.waiting import line

Answer = TypeVar("Answer")
# Packages whose exceptions mean that a store failed: MLflow, its database, and clients of artifact stores.
_STORES = frozenset(
    {"mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3", "psycopg", "psycopg2", "pymysql", "botocore", "boto3",
     "azure", "google", "paramiko"}
)  # fmt: skip


@contextlib.contextmanager
def store_may_fail(report: Callable[[Exception], None] | None = None) -> Iterator[None]:
    """A block of calls to the store. If one fails, this is reported, the block ends, and the code after it continues.

    Any other exception is a programming error and is raised.
    """
    try:
        yield
    except Exception as error:
        kinds = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
        if not isinstance(error, OSError) and kinds.isdisjoint(_STORES):
            raise
        if report is not None:
            report(error)


def ask(
    call: Callable[[], Answer], *, otherwise: Any = None, report: Callable[[Exception], None] | None = None
) -> Answer | Any:
    """The result of a call to the store within the remaining time (`waiting`), or `otherwise` if it fails."""
    with store_may_fail(report):
        return line().ask(call)
    return otherwise


def quietly(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a method of a run: after the first failure of the store, it returns None and does nothing."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ask(lambda: method(self, *args, **kwargs), report=self.go_offline) if self.online else None

    return call
