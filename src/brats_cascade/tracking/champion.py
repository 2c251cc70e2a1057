"""The champion: one rule, `best`, behind the table of results, the report and `models:/brats-cascade@champion`.

The champion has the highest validation Dice of all finished runs on the same data and the same split: those of `dvc repro`
and those of DVC experiments. One that would take the place of the registered champion must also not be worse than it
patient by patient: a mean can rise by one patient while most get worse (`contest`). Only the evaluate stage makes a run a
candidate, so trials of a sweep and the seeds of an ablation never are; folds of a cross-validation and experiments trained in
phase 1 alone are barred by a tag.
"""

import functools
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade import provenance
from brats_cascade.costs import read_facts
from brats_cascade.evaluation.summary import ENOUGH, patient_differences, wilcoxon_p
from brats_cascade.project import Project, read_json_if_there
from brats_cascade.tracking.registry import alias_run
from brats_cascade.tracking.store import ask_store, own_database, project_root

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

CANDIDATE, VOLUMES, SPLIT, DVC_EXPERIMENT = "candidate", "volumes", "split", "dvc.exp_name"
SCORE = "validation/dice"
VALIDATION = "tables/validation.json"  # of a run: metrics/E/validation.csv
SIGNIFICANT, MOST = 0.05, 1000  # MOST: candidates looked at


@dataclass(frozen=True)
class Candidate:
    """An evaluated network."""

    experiment: str
    dice: float  # mean on validation over the regions; the test score has no say
    run_id: str = ""  # in MLflow; "" where it is known from files alone
    dvc_experiment: str = ""  # in which it was made; "" for `dvc repro`


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


@dataclass(frozen=True)
class Contest:
    """The champion, if there are candidates; the best refused one, if any did better on the mean, and why in a few words."""

    champion: Candidate | None
    challenger: Candidate | None = None
    reason: str = ""


def contest(root: Path, *, experiments: Sequence[str]) -> Contest:
    """Goes through the candidates from the best mean down to the first that is not worse than the registered champion.

    Candidates are all finished runs on a project's data and split, and of its experiments those that no run holds.
    """
    stored = _candidates_in_mlflow(root)
    known = {(candidate.experiment, candidate.dice) for candidate in stored}
    here = [one for one in candidates_here(root, experiments=experiments) if (one.experiment, one.dice) not in known]
    ranked = sorted([*stored, *here], key=lambda candidate: -candidate.dice)
    holder = alias_run(root) if stored else ""
    if holder not in {candidate.run_id for candidate in stored}:
        return Contest(ranked[0] if ranked else None)
    refused: list[tuple[Candidate, str]] = []
    for candidate in ranked:
        reason = "" if candidate.run_id in ("", holder) else _worse_in_mlflow(root, candidate.run_id, than=holder)
        if not reason:
            return Contest(candidate, *(refused[0] if refused else ()))
        refused.append((candidate, reason))
    return Contest(None)


def why_worse(challenger: "pd.DataFrame", champion: "pd.DataFrame") -> str:
    """Why one is worse than the other by a one-sided paired test on the validation patients, in a few words; else empty.

    Each table is a metrics/E/validation.csv; the challenger did better on the mean.
    """
    change = patient_differences(challenger, champion, region="mean")
    if len(change) < ENOUGH or (p := wilcoxon_p(change, alternative="less")) >= SIGNIFICANT:
        return ""
    return f"worse in {int((change < 0).sum())} of {len(change)} validation patients, p {p:.3f}"


def _worse_in_mlflow(root: Path, run_id: str, *, than: str) -> str:
    """`why_worse` of two runs; empty if one of them has no table, or MLflow cannot be reached."""
    import pandas as pd

    def table(run: str, client: "MlflowClient", _: str) -> "pd.DataFrame | None":
        if VALIDATION not in {item.path for item in client.list_artifacts(run, "tables")}:
            return None
        with tempfile.TemporaryDirectory(prefix="brats-cascade-") as place:
            path = client.download_artifacts(run, VALIDATION, place)
            return pd.read_json(path, orient="split", dtype={"case": str, "patient": str})

    first, second = (ask_store(functools.partial(table, run), root=root) for run in (run_id, than))
    return "" if first is None or second is None else why_worse(first, second)


def cure(champion: Candidate) -> str:
    """What registers a champion that is not: its stage `compare`, where its files lie."""
    first = f"`dvc exp apply {champion.dvc_experiment}`, then " if champion.dvc_experiment else ""
    return f"{first}`dvc repro --force --single-item compare`"


def _candidates_in_mlflow(root: Path) -> list[Candidate]:
    """The best finished runs in MLflow, in that order; of equal ones the oldest first."""
    if own_database(root) and not (project_root(root) / "mlflow.db").is_file():
        return []
    wanted = [f"tags.{key} = '{value}'" for key, value in {CANDIDATE: "yes", **data_tags(root)}.items()]
    order = [f"metrics.`{SCORE}` DESC", "attributes.start_time ASC"]

    def search(client: "MlflowClient", experiment: str) -> list[Any]:
        query = " and ".join([*wanted, "status = 'FINISHED'"])
        return list(client.search_runs([experiment], query, order_by=order, max_results=MOST))

    found = []
    for run in ask_store(search, root=root, otherwise=[]):
        tags, metrics = run.data.tags, run.data.metrics
        if SCORE in metrics:
            made_in = tags.get(DVC_EXPERIMENT, "")
            found.append(Candidate(tags["experiment"], metrics[SCORE], str(run.info.run_id), made_in))
    return found
