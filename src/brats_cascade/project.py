"""Where everything of a project lies."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file that holds a mapping."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def read_json_if_there(path: Path) -> dict[str, Any] | None:
    """As `read_json`; None if there is no such file."""
    return read_json(path) if path.is_file() else None


@dataclass(frozen=True)
class Project:
    """The folders and files of a project; everything that several stages share is named here once.

    Attributes:
        root: The folder with params.yaml and dvc.yaml; the current one by default.
    """

    root: Path = Path()

    @property
    def phantom(self) -> Path:
        """The synthetic patients."""
        return self.root / "data/raw/phantom"

    @property
    def volumes(self) -> Path:
        """The volume store, a folder per case."""
        return self.root / "data/volumes"

    @property
    def cases(self) -> Path:
        """The per-case table."""
        return self.root / "data/cases.parquet"

    @property
    def verdict(self) -> Path:
        """Which cases are used, and why others are not."""
        return self.root / "data/verdict.json"

    @property
    def fingerprint(self) -> Path:
        """What the used cases are like."""
        return self.root / "data/fingerprint.json"

    @property
    def splits(self) -> Path:
        """The cases of the training, validation and test sets."""
        return self.root / "data/splits.json"

    @property
    def patches(self) -> Path:
        """The patch sets."""
        return self.root / "data/patches"

    @property
    def models(self) -> Path:
        """The trained networks, a folder per experiment."""
        return self.root / "models"

    @property
    def metrics(self) -> Path:
        """The scores, a folder and a short file per experiment."""
        return self.root / "metrics"

    @property
    def reports(self) -> Path:
        """The report and its figures."""
        return self.root / "reports"

    @property
    def segmentations(self) -> Path:
        """The segmentations of the test patients, a folder per experiment."""
        return self.root / "segmentations"

    @property
    def work(self) -> Path:
        """What survives a kill: checkpoints, finished cases, caches; in neither git nor DVC."""
        return self.root / ".work"

    @property
    def ingested(self) -> Path:
        """Finished cases of the ingest stage."""
        return self.work / "ingest"

    @property
    def costs(self) -> Path:
        """Notes of the time and memory of every stage's last run."""
        return self.work / "cost"
