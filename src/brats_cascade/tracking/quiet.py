"""A store that fails costs one line, and no result."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from brats_cascade.tracking.waiting import line

Answer = TypeVar("Answer")
# Whose exceptions say that a store failed: MLflow's, its database's, and the clients' of its artifact stores.
_STORES = frozenset(
    {"mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3", "psycopg", "psycopg2", "pymysql", "botocore", "boto3",
     "azure", "google", "paramiko"}
)  # fmt: skip


@contextlib.contextmanager
def store_may_fail(report: Callable[[Exception], None] | None = None) -> Iterator[None]:
    """A block that asks the store; if that fails, which is reported, the block ends there, and what follows it goes on.

    Any other exception is a mistake in the program, which must be seen.
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
    """What a call of the store gives, within the time that is left for waiting (`waiting`); `otherwise` if that fails."""
    with store_may_fail(report):
        return line().ask(call)
    return otherwise


def quietly(method: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a call of a run that a store which fails cannot stop: after its first failure each gives None and does nothing."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ask(lambda: method(self, *args, **kwargs), report=self.go_offline) if self.online else None

    return call
