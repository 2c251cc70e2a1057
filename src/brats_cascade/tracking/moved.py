"""Updates the absolute artifact paths in the database of a project that was moved or copied."""

import contextlib
import logging
import sqlite3
from pathlib import Path

from brats_cascade.shared import turn

# The columns in which MLflow stores artifact paths; those missing in a release are skipped.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
    ("workspaces", "default_artifact_root"),
)

EXPERIMENT = "brats-cascade"  # its artifacts belong in `mlruns/<its name>` next to the database
LOCK = "mlruns/.lock"  # lock file in a project's folder, held while the store is created or changed

log = logging.getLogger(__name__)


def follow(database: Path) -> None:
    """Updates the artifact paths in a project's mlflow.db if the project's folder has another path than when they were written.

    Runs and models are then written to, and read from, the current folder; a folder from which it was copied is not touched.
    """
    root = database.parent
    if not database.is_file():
        return
    with contextlib.closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        if _old_root(connection, root=root) is None:
            return
        with turn(root / LOCK):
            connection.execute("BEGIN IMMEDIATE")  # a kill leaves either all old or all new paths
            old = _old_root(connection, root=root)  # another process may have done it
            if old is not None:
                _rewrite(connection, old=old, root=root)
                log.info("the project has moved from %s; updated the paths in mlflow.db", old)
            connection.execute("COMMIT")


def _old_root(connection: sqlite3.Connection, *, root: Path) -> str | None:
    """URI of the project's folder when the database was last opened; None if it is `root`, or unknown."""
    try:
        rows = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (EXPERIMENT,)).fetchall()
    except sqlite3.Error:  # the database has no tables yet
        return None
    end = f"/mlruns/{EXPERIMENT}"
    if not rows or not str(rows[0][0]).startswith("file://") or not str(rows[0][0]).endswith(end):
        return None
    old = str(rows[0][0]).removesuffix(end)
    return None if old == root.as_uri() else old


def _rewrite(connection: sqlite3.Connection, *, old: str, root: Path) -> None:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    # MLflow writes and decodes both; only a URI is safe for `a%20b`.
    forms = (old, url2pathname(urlsplit(old).path))
    for table, column in PLACES:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for before in forms if column in columns else ():
            start = f"{before}/mlruns"
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (f"{root.as_uri()}/mlruns", len(start) + 1, start, len(start) + 1, f"{start}/"),
            )
