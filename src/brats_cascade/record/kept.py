"""Results of earlier runs on the same data, kept as small files beside the page: a record grows over runs and machines."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from brats_cascade.record.basis import Basis, kept_basis
from brats_cascade.record.crossval_result import Crossval, read_crossval
from brats_cascade.record.join_folds import join_folds
from brats_cascade.record.results import Result, read_json

log = logging.getLogger(__name__)
DATA = (
    "data/volumes"  # of results that do not tell their scans: the same hash stands for the same scans, on one machine
)


def keep_results(folder: Path, *, results: Sequence[Result]) -> None:
    """Writes what the page needs of every experiment: E.json, E_cases.csv, E_nine.csv; those of its name are replaced.

    Args:
        folder: docs/results/NAME.
        results: The experiments of this run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for one in results:
        plain = {"run": one.run, "summary": one.summary, "first": one.first, "command": one.command}
        _write(folder / f"{one.name}.json", record=plain)
        one.cases.to_csv(folder / f"{one.name}_cases.csv", index=False)
        nine = folder / f"{one.name}_nine.csv"
        nine.unlink(missing_ok=True)
        if one.nine is not None:
            one.nine.to_csv(nine, index=False)


def kept_run(folder: Path) -> tuple[list[Result], Basis]:
    """The results of the last run of the pipeline, and what the page rests on besides.

    Args:
        folder: docs/results/NAME.

    Raises:
        UserError: None was kept.
    """
    basis = kept_basis(folder)
    return [kept_result(folder / f"{one}.json") for one in basis.experiments], basis


def kept_results(folder: Path, *, like: Result, but: Collection[str]) -> list[Result]:
    """The experiments of earlier runs on the same data; of those on other data a warning is all that is left.

    Args:
        folder: docs/results/NAME.
        like: An experiment of this run.
        but: Names of the experiments of this run.

    Returns:
        In the order of their names.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        if path.stem in but or "summary" not in read_json(path):
            continue
        one = kept_result(path)
        if _same_scans(one.run, like.run) and set(one.cases["case"]) == set(like.cases["case"]):
            found.append(one)
        else:
            log.warning("%s: of other data or other unseen cases than this run's; left out of the page", path)
    return found


def kept_result(path: Path) -> Result:
    """One experiment of an earlier run.

    Args:
        path: docs/results/NAME/E.json.
    """
    import pandas as pd

    plain, nine = read_json(path), path.with_name(f"{path.stem}_nine.csv")
    return Result(
        path.stem,
        plain["run"],
        plain["summary"],
        pd.read_csv(path.with_name(f"{path.stem}_cases.csv"), dtype={"case": str, "patient": str}),
        pd.read_csv(nine, dtype={"case": str}) if nine.is_file() else None,
        plain["first"],
        plain["command"],
    )


def keep_crossval(folder: Path, *, crossval: Crossval) -> None:
    """Writes a cross-validation: crossval/NAME.json and crossval/NAME_cases.csv.

    Args:
        folder: docs/results/NAME.
        crossval: Its name is the files'.
    """
    own = folder / "crossval"
    own.mkdir(parents=True, exist_ok=True)
    _write(own / f"{crossval.name}.json", record=crossval.record)
    crossval.cases.to_csv(own / f"{crossval.name}_cases.csv", index=False)


def kept_crossvals(folder: Path, *, like: Result) -> list[Crossval]:
    """The cross-validations of the same cohort, this run's and earlier ones'; N4 may be on in one and off in the other.

    Where neither tells its scans, and N4 has changed the volumes and so their hash, the unseen cases stand for the cohort.
    """
    found = []
    for path in sorted((folder / "crossval").glob("*.json")):
        one = read_crossval(path, cases=path.with_name(f"{path.stem}_cases.csv"))
        told = bool(one.record.get("scans") and like.run.get("scans"))
        if told or one.n4 == bool(like.run.get("n4")):
            fits = _same_scans(one.record, like.run, but="n4")
        else:
            fits = set(like.cases["case"]) <= set(one.cases["case"])
        if fits:
            found.append(one)
        else:
            log.warning("%s: of other data than this run's; left out of the page", path)
    return found


def kept_again(folder: Path, *, crossvals: Sequence[Crossval]) -> list[Crossval]:
    """Folds of kept cross-validations that another machine trained once more: crossval/again/NAME, filled by `--share`."""
    import pandas as pd

    found = []
    for one in crossvals:
        notes = [read_json(path) for path in sorted((folder / "crossval/again" / one.name).glob("fold*.json"))]
        if notes:
            rows = sorted((note["row"] for note in notes), key=lambda row: row["fold"])
            tables = [
                pd.read_csv(
                    folder / f"crossval/again/{one.name}/fold{row['fold']}_cases.csv",
                    dtype={"case": str, "patient": str},
                )
                for row in rows
            ]
            cases, own = join_folds(rows, tables=tables, name=one.name, seed=1)
            own |= {"run_id": "", "note": "", "data_hashes": {}}  # the first training's, not its own
            found.append(Crossval({**one.record, **own}, cases, again=True))
    return found


def keep_helps(folder: Path, *, found: Mapping[str, Any], like: Result) -> None:
    """Writes what `pipelines/helps.py` measured: helps/plain.json or helps/n4.json.

    Args:
        folder: docs/results/NAME.
        found: reports/helps/*.json.
        like: An experiment of the same cohort and split.
    """
    own = folder / "helps"
    own.mkdir(parents=True, exist_ok=True)
    plain = {"unseen": sorted(like.cases["case"]), "found": dict(found)}
    (own / f"{'n4' if found['n4'] else 'plain'}.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def kept_helps(folder: Path, *, like: Result) -> list[dict[str, Any]]:
    """What was measured on the same split. N4 changes the volumes and so their hash: the unseen cases stand for the cohort."""
    kept = [read_json(path) for path in sorted((folder / "helps").glob("*.json"))]
    return [one["found"] for one in kept if one["unseen"] == sorted(like.cases["case"])]


def with_command(results: Sequence[Result], *, command: str) -> list[Result]:
    """The same results, with the command that made them."""
    return [replace(one, command=command) for one in results]


def _write(path: Path, *, record: Mapping[str, Any]) -> None:
    """Writes a record for a repository: of a cohort's folder that is given from the root of a disk only the name."""
    path.write_text(json.dumps(_without_disk(record), indent=1) + "\n", encoding="utf-8")


def _without_disk(record: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(record)
    for key, value in record.items():
        if isinstance(value, Mapping):
            found[key] = _without_disk(value)
    for key in ("source", "data.source"):  # of a cross-validation, of an experiment's parameters
        if (folder := Path(str(found.get(key, "")))).is_absolute():
            found[key] = folder.name
    return found


def _same_scans(one: Mapping[str, Any], other: Mapping[str, Any], *, but: str = "") -> bool:
    """Whether two records are of the same scans, ingested in the same way (apart from one setting)."""
    first, second = (record.get("scans") for record in (one, other))
    if first and second:
        return all(first[key] == second[key] for key in first if key != but)
    hashes = [record.get("data_hashes", {}).get(DATA) for record in (one, other)]
    return hashes[0] == hashes[1]
