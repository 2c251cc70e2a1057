"""The paths of a project, and readers for its files."""

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
    """The content of one of the project's JSON files, a mapping, without its format version.

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
    """As `read_json`; None if the file does not exist."""
    return read_json(path) if path.is_file() else None


def read_state(path: Path) -> dict[str, Any] | None:
    """Reads an optional note; None if it is missing or damaged (by a power cut, for example). It is then rewritten."""
    try:
        return read_json_if_there(path)
    except UserError as error:
        log.warning("%s; it is ignored", str(error).partition(":")[0])
        return None


def read_table(path: Path, *, columns: Sequence[str] = ()) -> "pd.DataFrame":
    """Reads one of the project's tables, .parquet or .csv; names of cases and patients are text.

    Raises:
        UserError: The file is missing, damaged, or lacks a column.
    """
    import pandas as pd

    form: dict[str, Any] = {"dtype": {"case": str, "patient": str}}  # exact numbers, from pandas 3.1 on
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, **form)
    except FileNotFoundError:
        raise _missing(path) from None
    except Exception as error:  # pandas, its parsers and pyarrow each raise their own errors
        if is_trouble(error):
            raise
        raise damaged(path, error) from None
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise damaged(path, ValueError(f"no column {lacking[0]}"))
    return table


def read_table_if_there(path: Path, *, columns: Sequence[str] = ()) -> "pd.DataFrame | None":
    """As `read_table`; None if the file does not exist."""
    return read_table(path, columns=columns) if path.is_file() else None


def damaged(path: Path, error: Exception) -> UserError:
    """The error for one of the project's files that cannot be read."""
    cure = f"delete it and run `dvc repro {stage}` again" if (stage := maker_of(path)) else "delete it"
    return UserError(f"{path} is damaged ({one_line(error)[:120]}): {cure}")


def _missing(path: Path) -> UserError:
    return UserError(f"{path}: not found; run `{f'dvc repro {maker_of(path)}'.strip()}` first, in the project's root")


def maker_of(path: Path) -> str:
    """The DVC stage that writes one of the project's files; "" if none does."""
    for pattern, stage in MAKERS.items():
        if path.match(pattern):
            return stage.format(folder=path.parent.name, file=path.stem)
    return ""


class Project:
    """The folders and files of a project in `root`, the folder with params.yaml; all shared paths are defined here."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self.phantom = root / "data/raw/phantom"  # synthetic patients
        self.volumes = root / "data/volumes"  # volume store, a folder per case
        self.cases = root / "data/cases.parquet"  # per-case table
        self.verdict = root / "data/verdict.json"  # accepted and excluded cases, with reasons
        self.fingerprint = root / "data/fingerprint.json"  # statistics of the accepted cases
        self.splits = root / "data/splits.json"  # cases of the training, validation and test sets
        self.patches = root / "data/patches"  # patch sets
        self.models = root / "models"  # trained networks, a folder per experiment
        self.metrics = root / "metrics"  # scores, a folder and a short file per experiment
        self.reports = root / "reports"  # report and figures
        self.segmentations = root / "segmentations"  # segmentations of the test patients, a folder per experiment
        self.work = root / ".work"  # checkpoints and caches; in neither git nor DVC
        self.ingested = self.work / "ingest"  # finished cases of the ingest stage
        self.costs = self.work / "cost"  # time and memory of the last run of every stage
