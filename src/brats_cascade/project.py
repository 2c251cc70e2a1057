"""Where everything of a project lies."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.errors import UserError, is_trouble, one_line

if TYPE_CHECKING:
    import pandas as pd

MAKERS = {
    "data/cases.parquet": "ingest",
    "data/verdict.json": "validate",
    "data/fingerprint.json": "validate",
    "metrics/data.json": "validate",
    "data/splits.json": "split",
    "data/patches/*": "patches",
    "models/*/*": "train@{folder}",
    "metrics/costs/*": "",
    "metrics/*/*": "evaluate@{folder}",
    "metrics/*.json": "evaluate@{file}",
    "reports/*.json": "compare",
}

log = logging.getLogger(__name__)


def read_json(path: Path) -> dict[str, Any]:
    """The content of one of the project's JSON files, which holds a mapping, without the version of its form.

    Raises:
        UserError: The file is missing or damaged.
    """
    from brats_cascade.shapes import problem_of

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from None
    problem = problem_of(path, content) if isinstance(content, dict) else f"expected a mapping, found {content!r:.40}"
    if problem:
        raise damaged(path, ValueError(problem))
    return {key: value for key, value in content.items() if key != "version"}


def read_json_if_there(path: Path) -> dict[str, Any] | None:
    """As `read_json`; None if there is no such file."""
    return read_json(path) if path.is_file() else None


def read_state(path: Path) -> dict[str, Any] | None:
    """A note that can be done without: None if it is missing, or damaged, as after a power cut; then it is written anew."""
    try:
        return read_json_if_there(path)
    except UserError as error:
        log.warning("%s; it is ignored", str(error).partition(":")[0])
        return None


def read_table(path: Path, *, columns: Sequence[str] = ()) -> "pd.DataFrame":
    """One of the project's tables, .parquet or .csv; names of cases and patients are text.

    Raises:
        UserError: The file is missing, damaged, or without one of the columns.
    """
    import pandas as pd

    form: dict[str, Any] = {"dtype": {"case": str, "patient": str}}  # numbers to the last digit, from pandas 3.1 on
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, **form)
    except FileNotFoundError:
        raise _missing(path) from None
    except Exception as error:  # of pandas, its parsers or pyarrow: each names damage in its own way
        if is_trouble(error):
            raise
        raise damaged(path, error) from None
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise damaged(path, ValueError(f"no column {lacking[0]}"))
    return table


def read_table_if_there(path: Path, *, columns: Sequence[str] = ()) -> "pd.DataFrame | None":
    """As `read_table`; None if there is no such file."""
    return read_table(path, columns=columns) if path.is_file() else None


def damaged(path: Path, error: Exception) -> UserError:
    """What to say of one of the project's files that cannot be read."""
    cure = f"delete it and run `dvc repro {stage}` again" if (stage := maker_of(path)) else "delete it"
    return UserError(f"{path} is damaged ({one_line(error)[:120]}): {cure}")


def _missing(path: Path) -> UserError:
    return UserError(f"{path}: not found; run `{f'dvc repro {maker_of(path)}'.strip()}` first, in the project's root")


def maker_of(path: Path) -> str:
    """The stage that makes one of the project's files, as DVC calls it; empty if none does."""
    for pattern, stage in MAKERS.items():
        if path.match(pattern):
            return stage.format(folder=path.parent.name, file=path.stem)
    return ""


class Project:
    """The folders and files of a project below `root`, the folder with params.yaml; everything shared is named here once."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self.phantom = root / "data/raw/phantom"  # the synthetic patients
        self.volumes = root / "data/volumes"  # the volume store, a folder per case
        self.cases = root / "data/cases.parquet"  # the per-case table
        self.verdict = root / "data/verdict.json"  # which cases are used, and why others are not
        self.fingerprint = root / "data/fingerprint.json"  # what the used cases are like
        self.splits = root / "data/splits.json"  # the cases of the training, validation and test sets
        self.patches = root / "data/patches"  # the patch sets
        self.models = root / "models"  # the trained networks, a folder per experiment
        self.metrics = root / "metrics"  # the scores, a folder and a short file per experiment
        self.reports = root / "reports"  # the report and its figures
        self.segmentations = root / "segmentations"  # of the test patients, a folder per experiment
        self.work = root / ".work"  # what survives a kill: checkpoints, caches; in neither git nor DVC
        self.ingested = self.work / "ingest"  # finished cases of the ingest stage
        self.costs = self.work / "cost"  # notes of the time and memory of every stage's last run
