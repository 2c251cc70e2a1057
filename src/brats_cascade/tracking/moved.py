"""A project that was moved or copied: its database says where artifacts lie, in absolute paths, and is told the new ones."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

# Where MLflow keeps places of artifacts; what a release of it does not have is left out.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
    ("workspaces", "default_artifact_root"),
)

log = logging.getLogger(__name__)


def follow(database: Path, *, experiment: str) -> None:
    """Rewrites the places of artifacts in a database whose folder has another path than when it was made.

    Runs and models are then written into, and read from, the folder that one works in; a folder that this one was copied from
    is not touched.

    Args:
        database: The project's mlflow.db.
        experiment: Name of the experiment whose artifacts are meant to lie in `mlruns/<its name>` beside it.
    """
    root = database.parent
    if not database.is_file() or _old_root(database, experiment=experiment, root=root) is None:
        return
    with lock(root / "mlruns"), contextlib.closing(sqlite3.connect(database, timeout=60)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")  # one transaction: a kill leaves all old places or all new ones
        old = _place(connection, experiment=experiment, root=root)
        if old is not None:
            _rewrite(connection, old=old, root=root)
            log.info("the project has moved from %s: mlflow.db says so now", old)
        connection.execute("COMMIT")


def _old_root(database: Path, *, experiment: str, root: Path) -> str | None:
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection:
        return _place(connection, experiment=experiment, root=root)


def _place(connection: sqlite3.Connection, *, experiment: str, root: Path) -> str | None:
    """URI of the project's folder when the database was last opened; None if that is `root`, or cannot be told."""
    try:
        rows = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)).fetchall()
    except sqlite3.Error:  # a database without tables yet
        return None
    end = f"/mlruns/{experiment}"
    if not rows or not str(rows[0][0]).startswith("file://") or not str(rows[0][0]).endswith(end):
        return None
    old = str(rows[0][0]).removesuffix(end)
    return None if old == root.as_uri() else old


def _rewrite(connection: sqlite3.Connection, *, old: str, root: Path) -> None:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    forms = (
        old,
        url2pathname(urlsplit(old).path),
    )  # MLflow writes both, and decodes both: only a URI is safe for `a%20b`
    for table, column in PLACES:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for before in forms if column in columns else ():
            start = f"{before}/mlruns"
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (f"{root.as_uri()}/mlruns", len(start) + 1, start, len(start) + 1, f"{start}/"),
            )


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Waits for its turn in a folder; on systems without file locks it does not."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
