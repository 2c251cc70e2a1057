"""Opens the storage of a study: a database, a journal file, or a gRPC proxy for a database."""

import time
from pathlib import Path
from typing import Any

from optuna import storages
from optuna.storages.journal import JournalFileBackend

from brats_cascade.errors import UserError
from brats_cascade.sweep.trials import experimental

FORMS = "sqlite:///FILE, postgresql://..., journal:FILE or grpc://HOST:PORT"
PROXY_PATIENCE = 60  # seconds
GRACE = 3  # missed heartbeats after which a trial counts as lost


@experimental()
def open_storage(url: str, *, heartbeat: int = 20, retries: int = 2) -> storages.BaseStorage:
    """Opens a storage, one of FORMS, and creates its tables if necessary.

    In databases, a running trial sends a heartbeat every `heartbeat` seconds; if its process was killed, it is repeated at most
    `retries` times.

    Raises:
        UserError: The address has none of these forms or cannot be reached, or its driver is not installed.
    """
    if url.startswith("journal:"):
        path = Path(url.removeprefix("journal:"))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return storages.JournalStorage(JournalFileBackend(str(path)))
        except (ValueError, LookupError, TypeError) as error:
            raise UserError(f"--storage {url}: not a journal of Optuna ({error}); name another file") from None
    if url.startswith("grpc://"):
        return _open_proxy(url)
    if "://" not in url:
        raise UserError(f"--storage: expected {FORMS}, received {url!r}")
    return _open_database(url, heartbeat=heartbeat, retries=retries)


def _open_proxy(url: str) -> storages.BaseStorage:
    host, _, port = url.removeprefix("grpc://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--storage: expected grpc://HOST:PORT, received {url!r}")
    proxy = storages.GrpcStorageProxy(host=host, port=int(port))
    try:
        proxy.wait_server_ready(timeout=PROXY_PATIENCE)
    except ConnectionError as error:
        raise UserError(f"--storage {url}: no answer in {PROXY_PATIENCE} s: {error}; start the proxy first") from None
    return proxy


def sqlite_url(path: Path) -> str:
    """The address of an SQLite file; in an address, %20 would be decoded, and a question mark would end the path."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path)).render_as_string()


def _open_database(url: str, *, heartbeat: int, retries: int) -> storages.BaseStorage:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        database = make_url(url).database
    except (SQLAlchemyError, ValueError) as error:
        raise UserError(f"--storage {url}: {error}; expected {FORMS}") from None
    if url.startswith(("postgresql://", "postgres://")):
        url = "postgresql+psycopg://" + url.partition("://")[2]
    engine: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("sqlite:"):
        if database in (None, "", ":memory:"):
            raise UserError(f"--storage {url}: names no file, which the workers need to share; expected sqlite:///FILE")
        engine = {"connect_args": {"timeout": 60}}
        Path(str(database)).parent.mkdir(parents=True, exist_ok=True)
    retry = storages.RetryHeartbeatStaleTrialCallback(max_retry=retries)
    beat: dict[str, Any] = {"heartbeat_interval": heartbeat, "grace_period": GRACE * heartbeat}
    for attempt in range(3):
        try:
            return storages.RDBStorage(url, engine_kwargs=engine, heartbeat_stale_trial_callback=retry, **beat)
        except ImportError as error:
            driver = "pip install 'brats-cascade[postgres]'" if "psycopg" in url else "install its driver"
            raise UserError(f"--storage {url}: {error}; {driver}") from None
        except RuntimeError as error:  # tables of another release of Optuna, whose message tells what to do
            raise UserError(f"--storage {url}: {error}") from None
        except SQLAlchemyError as error:  # also if two processes create the tables at once
            if attempt == 2 or not isinstance(error, DBAPIError):
                raise UserError(f"--storage {url}: cannot be opened: {error}") from None
            time.sleep(1)
    raise AssertionError("unreachable")
