"""The champion: one rule, `best`, for the table of results, the report and `models:/brats-cascade@champion`.

The champion has the highest validation Dice of all finished runs on the same data and split, from `dvc repro` and from DVC
experiments. To replace the registered champion, it must also not be worse patient by patient, because a mean can rise through a
single patient while most get worse (`contest`). Only the evaluate stage makes a run a candidate, so trials of a sweep never
are. Folds of a cross-validation and experiments with phase 1 alone are excluded by a tag.
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
VALIDATION = "tables/validation.json"  # table of a run: metrics/E/validation.csv
SIGNIFICANT, MOST = 0.05, 1000  # MOST: number of candidates considered


@dataclass(frozen=True)
class Candidate:
    """An evaluated network."""

    experiment: str
    dice: float  # mean over the regions on validation; the test score is not used
    run_id: str = ""  # run id in MLflow; "" if known only from files
    dvc_experiment: str = ""  # the DVC experiment, "" for `dvc repro`


def best(candidates: Iterable[Candidate]) -> Candidate | None:
    """The highest validation Dice; ties go to the first, and None without candidates."""
    return max(candidates, key=lambda candidate: candidate.dice, default=None)


def barred(facts: Mapping[str, Any]) -> str:
    """The reason why an experiment cannot be champion, from the facts in models/E/record.json; "" if it can."""
    if facts.get("fold", "none") != "none":
        return f"fold {facts['fold']}"
    return "phase 1 only" if facts.get("procedure") == "one_phase" else ""


def candidates_here(root: Path, *, experiments: Sequence[str]) -> list[Candidate]:
    """The candidates among the evaluated experiments in a project's folder, in the given order."""
    found = []
    for name in experiments:
        path = Project(root).metrics / name / "summary.json"
        summary = read_json_if_there(path) or {}
        if "validation" in summary and not barred(read_facts(root, name=name)):
            found.append(Candidate(name, float(summary["validation"]["dice"])))
    return found


def candidate_tags(root: Path, *, facts: Mapping[str, Any]) -> dict[str, str]:
    """Tags of an evaluated run: whether it is a candidate, and its data and split."""
    reason = barred(facts)
    return {CANDIDATE: f"no: {reason}" if reason else "yes", **data_tags(root)}


def data_tags(root: Path) -> dict[str, str]:
    """Tags that identify the data and the split in a project's folder."""
    path = Project(root).splits
    sets = read_json_if_there(path) or {}
    plain = json.dumps({part: sorted(sets.get(part, [])) for part in ("train", "validation", "test")})
    volumes = provenance.data_hashes(root).get("data/volumes", "unknown")
    return {VOLUMES: volumes, SPLIT: hashlib.sha256(plain.encode()).hexdigest()[:32]}


@dataclass(frozen=True)
class Contest:
    """The champion, if there are candidates; the best rejected candidate with a higher mean, if any; and the reason."""

    champion: Candidate | None
    challenger: Candidate | None = None
    reason: str = ""


def contest(root: Path, *, experiments: Sequence[str]) -> Contest:
    """Goes through the candidates by decreasing mean, up to the first that is not worse than the registered champion.

    Candidates are all finished runs on a project's data and split, and those of its experiments that have no run, unless the
    run was deleted.
    """
    stored = _candidates_in_mlflow(root)
    known = {(one.experiment, one.dice) for one in (*stored, *_candidates_in_mlflow(root, deleted=True))}
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
    """The reason why one model is worse than another by a one-sided paired test on the validation patients, or "".

    Each table is a metrics/E/validation.csv; the challenger has the higher mean.
    """
    change = patient_differences(challenger, champion, region="mean")
    if len(change) < ENOUGH or (p := wilcoxon_p(change, alternative="less")) >= SIGNIFICANT:
        return ""
    return f"worse in {int((change < 0).sum())} of {len(change)} validation patients, p {p:.3f}"


def _worse_in_mlflow(root: Path, run_id: str, *, than: str) -> str:
    """`why_worse` for two runs; "" if one of them has no table, or MLflow cannot be reached."""
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
    """The command that registers a champion: its stage `compare`, in the folder with its files."""
    first = f"`dvc exp apply {champion.dvc_experiment}`, then " if champion.dvc_experiment else ""
    return f"{first}`dvc repro --force --single-item compare`"


def _candidates_in_mlflow(root: Path, *, deleted: bool = False) -> list[Candidate]:
    """The best finished runs in MLflow, or the deleted ones, best first; ties are sorted by age, oldest first."""
    if own_database(root) and not (project_root(root) / "mlflow.db").is_file():
        return []
    wanted = [f"tags.{key} = '{value}'" for key, value in {CANDIDATE: "yes", **data_tags(root)}.items()]
    order = [f"metrics.`{SCORE}` DESC", "attributes.start_time ASC"]

    def search(client: "MlflowClient", experiment: str) -> list[Any]:
        from mlflow.entities import ViewType

        query = " and ".join([*wanted, "status = 'FINISHED'"])
        view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
        return list(client.search_runs([experiment], query, view, MOST, order))

    found = []
    for run in ask_store(search, root=root, otherwise=[]):
        tags, metrics = run.data.tags, run.data.metrics
        if SCORE in metrics:
            made_in = tags.get(DVC_EXPERIMENT, "")
            found.append(Candidate(tags["experiment"], metrics[SCORE], str(run.info.run_id), made_in))
    return found
