"""Values that differ between two runs with the same result (seconds, memory, machine, commit), in metrics/costs/E.json.

The file is in git and is not a DVC output. It is rewritten only if the corresponding result has changed, the machine is another
one, or more was measured, so that a run that reproduces a model leaves git clean and gives the same report. DVC shows its
`seconds`, the training time, as a metric.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.metering import CPU, ENERGY, GPU, SECONDS
from brats_cascade.project import Project, read_json, read_state, read_table
from brats_cascade.shared import write_text

if TYPE_CHECKING:
    import pandas as pd

# In the order of the pipeline.
STAGES = ("phantom", "ingest", "validate", "split", "patches", "train", "evaluate", "compare")
RECORD, NETWORK, CASES = "record.json", "model.keras", "cases.csv"
PER_CASE = (SECONDS, CPU, GPU, ENERGY)  # costs of an evaluation, each case -> number


def costs_path(root: Path, *, name: str) -> Path:
    """The file with an experiment's costs."""
    return Project(root).metrics / "costs" / f"{name}.json"


def fingerprint(*paths: Path) -> str:
    """A hash of the files that exist; "" if none does."""
    found = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths if path.is_file())
    return hashlib.sha256(found).hexdigest()[:32] if found else ""


def weights_of(root: Path, *, name: str) -> str:
    """A hash of an experiment's trained network; "" if there is none."""
    return fingerprint(Project(root).models / name / NETWORK)


def scores_of(root: Path, *, name: str) -> str:
    """A hash of an experiment's test scores; "" if there are none."""
    return fingerprint(Project(root).metrics / name / CASES)


def read_facts(root: Path, *, name: str) -> dict[str, Any]:
    """The facts of an experiment's training: models/E/record.json with the costs of this network.

    The costs are those measured by `stages/train.py`: `seconds`, `peak_memory_mb`, `machine`, `git_commit`, `environment` ...
    Empty without a record.
    """
    path = Project(root).models / name / RECORD
    if not path.is_file():
        return {}
    weights, costs = weights_of(root, name=name), _read(root, name=name).get("training", {})
    belongs = weights in ("", costs.get("result"))
    own = {key: value for key, value in costs.items() if key not in ("what", "result")} if belongs else {}
    return {**read_json(path), **own}


def trainings_of(root: Path, *, name: str) -> list[dict[str, Any]]:
    """The facts of an experiment's training and, where it builds on the network of another one, of that one's."""
    own = read_facts(root, name=name)
    place, _, cnn1 = str(own.get("builds_on", "")).partition("/")
    return [own, read_facts(root, name=cnn1)] if place == "models" else [own]


def read_cases(root: Path, *, name: str) -> "pd.DataFrame":
    """The scores of an experiment's test cases, metrics/E/cases.csv, one row per case.

    The cost of the segmentation is in the columns PER_CASE: NaN if it was not measured, or belongs to other scores.
    """
    path = Project(root).metrics / name / CASES
    cases, costs = read_table(path, columns=("case", "patient")), _evaluation(root, name=name)
    return cases.assign(**{key: cases["case"].map(costs.get(key, {})).astype(float) for key in PER_CASE})


def cost_of(root: Path, *, name: str, dice: float) -> dict[str, Any]:
    """The cost of an experiment with this complete Dice, as far as it is known; DVC's cache restores no costs.

    The means of PER_CASE over the test cases, `dice_per_minute`, the process's `peak_memory_mb`, `training_seconds` and
    `training_cpu_seconds` (for a cascade including those of its CNN 1), and the `machines` on which these were measured.
    """
    case, trainings = _evaluation(root, name=name), trainings_of(root, name=name)
    found = {key: sum(case[key].values()) / len(case[key]) for key in PER_CASE if case.get(key)}
    if found.get(SECONDS):
        found["dice_per_minute"] = 60 * dice / found[SECONDS]
    found |= {
        f"training_{key}": sum(float(training[key]) for training in trainings)
        for key in (SECONDS, CPU)
        if all(key in training for training in trainings)
    }
    found |= {key: float(case[key]) for key in ("peak_memory_mb",) if key in case}
    machines = sorted({known["machine"] for known in (case, *trainings) if "machine" in known})
    return found | ({"machines": machines} if machines else {})


def keep_costs(root: Path, *, name: str, what: str, result: str, costs: Mapping[str, Any]) -> None:
    """Writes the costs of a process, "training" or "evaluation", unless the file already has the costs of the same result.

    Costs of another machine, or with fewer measurements, are replaced. `result` is a hash of what was computed. `costs` are
    plain values; those in PER_CASE are numbers for a training, and mappings from case to number for an evaluation.
    """
    known = _read(root, name=name)
    held = known.get(what, {})
    if held.get("result") == result and held.get("machine") == costs.get("machine") and costs.keys() <= held.keys():
        return
    known[what] = {"what": what, "result": result, **costs}
    _write(root, name=name, known=known)


def forget_costs_of_others(root: Path, *, name: str) -> None:
    """Removes the costs of another network or other scores, after DVC has restored these from its cache."""
    known = _read(root, name=name)
    results = {"training": weights_of(root, name=name), "evaluation": scores_of(root, name=name)}
    kept = {what: costs for what, costs in known.items() if costs["result"] == results.get(what)}
    if kept != known:
        _write(root, name=name, known=kept)


def _evaluation(root: Path, *, name: str) -> dict[str, Any]:
    """The costs of the current evaluation; empty if they belong to other scores."""
    costs = _read(root, name=name).get("evaluation", {})
    return costs if costs.get("result") == scores_of(root, name=name) else {}


def _write(root: Path, *, name: str, known: Mapping[str, Mapping[str, Any]]) -> None:
    path = costs_path(root, name=name)
    # DVC shows as a metric every number and every text that is not in a list: only the seconds should be one.
    plain = {"seconds": known.get("training", {}).get("seconds"), "processes": list(known.values())}
    write_text(path, json.dumps(plain, indent=1) + "\n")


def _read(root: Path, *, name: str) -> dict[str, dict[str, Any]]:
    """What -> its costs; empty if the file is missing or damaged, in which case it is rewritten."""
    return by_process(read_state(costs_path(root, name=name)) or {})


def by_process(plain: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The content of a costs file: "training" and "evaluation" -> their costs; empty if it has another form."""
    try:
        return {process["what"]: {"result": "", **process} for process in plain["processes"]}
    except (KeyError, TypeError):
        return {}
