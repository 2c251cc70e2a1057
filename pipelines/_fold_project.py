"""The folder in which one fold of a cross-validation runs: a project of its own, with the ingested cases linked into it."""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from brats_cascade.errors import UserError

LINKED = ("data/volumes", "data/cases.parquet", "data/verdict.json")


def prepare(place: Path, *, order: Sequence[str], folds: int, fold: int, hashes: dict[str, str]) -> None:
    """A project's folder for one fold: params.yaml, links to the cases, and a lock file with their hashes for records."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe")
    tree = yaml.load(Path("params.yaml"))
    tree["split"] |= {"folds": folds, "fold": fold, "lists": {"validation": [], "test": []}}
    tree["experiments"] = {name: tree["experiments"][name] for name in order}
    tree.pop("sweep", None)
    (place / "data").mkdir(parents=True, exist_ok=True)
    yaml.dump(tree, place / "params.yaml")
    outs = [{"path": path, "md5": md5} for path, md5 in hashes.items()]
    yaml.dump({"stages": {"ingest": {"outs": outs}}}, place / "dvc.lock")
    for path in LINKED:
        if not (place / path).exists():
            (place / path).symlink_to(Path(path).resolve())


def run_stage(place: Path, stage: str, *, key: str, root: Path) -> None:
    """Runs one stage in a fold's folder, unless it has ended well there before with the same settings."""
    mark, words = place / ".done" / stage, stage.split("-", 1)
    if text_of(mark) == key:
        return
    script = Path(__file__).with_name(f"{words[0]}.py").resolve()
    environment = {"DVC_ROOT": str(root), **os.environ}  # where the MLflow runs go
    logging.info("%s: %s", place, " ".join(words))
    mark.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, str(script), *words[1:]], cwd=place, env=environment)
    if done.returncode:
        raise UserError(
            f"{place}: {' '.join(words)} ended with status {done.returncode}, for the reason above; mend it and start the "
            "same command again: it goes on here"
        )
    mark.parent.mkdir(exist_ok=True)
    mark.write_text(key, encoding="utf-8")


def text_of(path: Path) -> str:
    """A file's text; empty if there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""
