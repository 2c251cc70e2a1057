"""What the page rests on besides the experiments' own results; kept beside them, so that it can be written without the run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brats_cascade.errors import UserError
from brats_cascade.record.origin import cost_line
from brats_cascade.record.results import read_json

FILE = "page.json"


@dataclass(frozen=True)
class Basis:
    """The last run of the pipeline.

    Attributes:
        command: What made it.
        experiments: The names of those that it compared.
        listed: The names of those in its params.yaml.
        baseline: As in reports/comparison.json, or None.
        splits: data/splits.json; may be empty.
        cost: How long its stages took together; may be empty.
    """

    command: str
    experiments: list[str]
    listed: list[str]
    baseline: dict[str, Any] | None
    splits: dict[str, Any]
    cost: list[str]


def read_basis(root: Path, *, command: str) -> Basis:
    """Reads it from what `dvc repro` left.

    Args:
        root: The project's root.
        command: What made it.

    Raises:
        UserError: Nothing has been compared yet.
    """
    from ruamel.yaml import YAML

    source, params = root / "reports" / "comparison.json", root / "params.yaml"
    compared = read_json(source)
    if not compared.get("experiments"):
        raise UserError(
            f"{source}: not found, or empty; run `dvc repro` first, in the project's root, or write the page of kept results "
            "again with --kept"
        )
    names = list(compared["experiments"])
    listed = list(YAML(typ="safe").load(params)["experiments"]) if params.is_file() else []
    splits, cost = read_json(root / "data/splits.json"), cost_line(root / ".work/cost", names=names)
    return Basis(command, names, listed, compared.get("baseline"), splits, cost)


def keep_basis(folder: Path, *, basis: Basis) -> None:
    """Writes it to docs/results/NAME/page.json.

    Args:
        folder: docs/results/NAME.
        basis: Of the last run.
    """
    (folder / FILE).write_text(json.dumps(asdict(basis), indent=1) + "\n", encoding="utf-8")


def kept_basis(folder: Path) -> Basis:
    """The last run's.

    Raises:
        UserError: None was kept.
    """
    plain = read_json(folder / FILE)
    if not plain:
        raise UserError(
            f"{folder / FILE}: not found: no results were kept there; `brats-cascade record {folder.name}` without --kept "
            "keeps those of the last `dvc repro`"
        )
    return Basis(**plain)
