"""Finds the run for an evaluation: that of its training, or a child run of its own."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade import provenance, tracking
from brats_cascade.costs import read_facts, weights_of
from brats_cascade.project import Project
from brats_cascade.tracking.champion import CANDIDATE, candidate_tags
from brats_cascade.tracking.notes import keep_note, read_note
from brats_cascade.tracking.store import ask_store, tracking_uri
from brats_cascade.tracking.trained import log_training

# Tag: a hash of the logged parameters and scores. A completely logged run also has the tag CANDIDATE.
EVALUATION = "evaluation"


@contextlib.contextmanager
def evaluation_run(
    name: str,
    *,
    options: Mapping[str, Any],
    summary: Mapping[str, Any],
    params: Mapping[str, Any],
    seconds: float,
    root: Path = Path(),
) -> Iterator[tracking.Run | None]:
    """The run for an evaluation, with its parameters logged; at the end it becomes a candidate for champion.

    The first evaluation of a training is logged to the training's run, one with other parameters or scores to a child run,
    so no run contains two evaluations. A partly logged evaluation is completed.

    `options` is the block `evaluate` of params.yaml, and `summary` is metrics/E/summary.json. `params` are those of all earlier
    stages, for a run that has to be created, and `seconds` is the duration of the evaluation.

    Yields:
        The run, an offline one if the store cannot be reached; None if the same evaluation was already logged.
    """
    facts = {"git_commit": "unknown", **read_facts(root, name=name)}
    flat = {f"evaluate.{key}": value for key, value in options.items()}
    stamp = hashlib.sha256(json.dumps([flat, summary], sort_keys=True, default=str).encode()).hexdigest()[:32]
    marks = candidate_tags(root, facts=facts)
    if not _on_these_data(facts, root=root):  # logged late, after the data or the split have changed
        marks[CANDIDATE] = "no: trained on other data"
    tags = {key: facts[key] for key in tracking.TAGS if key in facts}
    everything = {**params, **facts.get("params", {})}
    with _training_run(name, tags=tags, params=everything, seconds=facts.get("seconds"), root=root) as training:
        first = training.tag(EVALUATION) in (None, stamp)
        child, complete = (
            ("", training.tag(CANDIDATE) is not None) if first else _child(training, stamp=stamp, root=root)
        )
        if complete or not training.online:
            yield None if complete else training
            return
        if first:
            training.log_tags({EVALUATION: stamp})  # first, so that no other evaluation keeps these parameters
            training.log_params(flat)
            yield training
            training.log_tags(marks)
            return
    title, tags = (
        _title(name, options=flat, training=training),
        tags | {tracking.PARENT: training.id, EVALUATION: stamp},
    )
    with tracking.start_run(title, run_id=child, tags=tags, params=everything | flat, root=root) as run:
        yield run
        run.log_tags(marks)
        run.finish(seconds=seconds)


@contextlib.contextmanager
def _training_run(
    name: str, *, tags: Mapping[str, Any], params: Mapping[str, Any], seconds: float | None, root: Path
) -> Iterator[tracking.Run]:
    """The run of the network in models/E, with everything that training logs; an offline one if the store cannot be reached."""
    note = read_note(name, root=root)
    run_id = note["run_id"] or _run_of_weights(name, root=root)
    if run_id is None:
        yield tracking.Run("", uri=tracking_uri(root))
        return
    marked = {**tags, "weights": weights_of(root, name=name)}
    with tracking.start_run(
        name, run_id=run_id, reopen=False, root=root, tags=marked, params=params, seconds=seconds
    ) as training:
        if training.new or not note["logged"]:
            keep_note(name, run_id=training.id or run_id, logged=False, root=root)
            training.log_params(params)
            log_training(training, folder=Project(root).models / name)
            training.finish(seconds=seconds)
            keep_note(name, run_id=training.id or run_id, logged=training.online, root=root)
        yield training


def _on_these_data(facts: Mapping[str, Any], *, root: Path) -> bool:
    """Whether dvc.lock still has the volumes and the split that a training noted, as far as both name them."""
    noted, now = facts.get("data_hashes", {}), provenance.data_hashes(root)
    return all(noted.get(path, md5) == md5 for path, md5 in now.items() if path in ("data/volumes", "data/splits.json"))


def _title(name: str, *, options: Mapping[str, Any], training: tracking.Run) -> str:
    """The name of an evaluation's own run: its difference from the evaluation in the training's run."""
    changed = [f"{key}={value}" for key, value in options.items() if training.param(key) not in (None, str(value))]
    return f"{name}, {' '.join(changed).replace('evaluate.', '') or 'evaluated again'}"


def _run_of_weights(name: str, *, root: Path) -> str | None:
    """The run that a network was logged to, if no note says so; "" if there is none, None if the store cannot be reached."""
    runs = _search(f"tags.weights = '{weights_of(root, name=name)}' and tags.experiment = '{name}'", root=root)
    return None if runs is None else next((str(run.info.run_id) for run in runs), "")


def _child(training: tracking.Run, *, stamp: str, root: Path) -> tuple[str, bool]:
    """The child run with this evaluation, "" if there is none, and whether it is complete."""
    if not training.online:
        return "", False
    wanted = f"tags.`{tracking.PARENT}` = '{training.id}' and tags.{EVALUATION} = '{stamp}'"
    for found in _search(wanted, root=root, report=training.go_offline) or ():
        return str(found.info.run_id), CANDIDATE in found.data.tags and found.info.status == "FINISHED"
    return "", False


def _search(query: str, *, root: Path, report: Callable[[Exception], None] | None = None) -> Sequence[Any] | None:
    """The latest run that a query finds, if any; None if the store cannot be reached."""
    return ask_store(
        lambda client, experiment: client.search_runs([experiment], query, max_results=1), root=root, report=report
    )
