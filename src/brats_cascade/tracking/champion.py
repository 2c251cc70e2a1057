"""The champion: one rule, `best`, behind the table of results, the report and `models:/brats-cascade@champion`.

The champion has the highest validation Dice of all finished runs on the same data and the same split: those of `dvc repro`
and those of DVC experiments. Only the evaluate stage makes a run a candidate, so trials of a sweep and the seeds of an
ablation never are; folds of a cross-validation and experiments trained in phase 1 alone are barred by a tag.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brats_cascade import provenance
from brats_cascade.costs import read_facts
from brats_cascade.project import Project, read_json_if_there

CANDIDATE, VOLUMES, SPLIT, DVC_EXPERIMENT = "candidate", "volumes", "split", "dvc.exp_name"
SCORE = "validation/dice"


@dataclass(frozen=True)
class Candidate:
    """An evaluated network.

    Attributes:
        experiment: Its name in params.yaml.
        dice: Mean validation Dice over the regions; the test score has no say.
        run_id: Its MLflow run, "" where it is known from files alone.
        dvc_experiment: Name of the DVC experiment it was made in, "" for `dvc repro`.
    """

    experiment: str
    dice: float
    run_id: str = ""
    dvc_experiment: str = ""


def best(candidates: Iterable[Candidate]) -> Candidate | None:
    """The rule: the highest validation Dice, of equal ones the first; None without candidates."""
    return max(candidates, key=lambda candidate: candidate.dice, default=None)


def barred(facts: Mapping[str, Any]) -> str:
    """Why an experiment cannot be champion, by the facts of models/E/record.json; empty if it can."""
    if facts.get("fold", "none") != "none":
        return f"fold {facts['fold']}"
    return "phase 1 only" if facts.get("procedure") == "one_phase" else ""


def candidates_here(root: Path, *, experiments: Sequence[str]) -> list[Candidate]:
    """The candidates among the evaluated experiments that lie in a project's folder, in the order given."""
    found = []
    for name in experiments:
        path = Project(root).metrics / name / "summary.json"
        summary = read_json_if_there(path) or {}
        if "validation" in summary and not barred(read_facts(root, name=name)):
            found.append(Candidate(name, float(summary["validation"]["dice"])))
    return found


def candidate_tags(root: Path, *, facts: Mapping[str, Any]) -> dict[str, str]:
    """Tags of an evaluated run: whether it is a candidate, and on which data and split it competes."""
    reason = barred(facts)
    return {CANDIDATE: f"no: {reason}" if reason else "yes", **data_tags(root)}


def data_tags(root: Path) -> dict[str, str]:
    """What stands for the data and the split in a project's folder."""
    path = Project(root).splits
    sets = read_json_if_there(path) or {}
    plain = json.dumps({part: sorted(sets.get(part, [])) for part in ("train", "validation", "test")})
    volumes = provenance.data_hashes(root).get("data/volumes", "unknown")
    return {VOLUMES: volumes, SPLIT: hashlib.sha256(plain.encode()).hexdigest()[:32]}


def find_champion(root: Path, *, experiments: Sequence[str]) -> Candidate | None:
    """The champion of all finished runs on a project's data and split, and of its experiments where MLflow is away."""
    return best([*_candidates_in_mlflow(root), *candidates_here(root, experiments=experiments)])


def cure(champion: Candidate) -> str:
    """What registers a champion that is not: its stage `compare`, where its files lie."""
    first = f"`dvc exp apply {champion.dvc_experiment}`, then " if champion.dvc_experiment else ""
    return f"{first}`dvc repro --force --single-item compare`"


def _candidates_in_mlflow(root: Path) -> list[Candidate]:
    """The best finished run in MLflow; of equal ones the oldest."""
    from brats_cascade.tracking.quiet import ask
    from brats_cascade.tracking.store import open_store, own_database, project_root

    if own_database(root) and not (project_root(root) / "mlflow.db").is_file():
        return []
    wanted = [f"tags.{key} = '{value}'" for key, value in {CANDIDATE: "yes", **data_tags(root)}.items()]
    order = [f"metrics.`{SCORE}` DESC", "attributes.start_time ASC"]

    def search() -> list[Any]:
        client, experiment = open_store(root)
        query = " and ".join([*wanted, "status = 'FINISHED'"])
        return list(client.search_runs([experiment], query, order_by=order, max_results=1))

    runs = [run for run in ask(search, otherwise=[]) if SCORE in run.data.metrics]
    found = [(run.data.tags, run.data.metrics, str(run.info.run_id)) for run in runs]
    return [
        Candidate(tags["experiment"], metrics[SCORE], run_id, tags.get(DVC_EXPERIMENT, ""))
        for tags, metrics, run_id in found
    ]
