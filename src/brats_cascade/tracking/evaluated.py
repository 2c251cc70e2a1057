"""Which run an evaluation belongs to: that of its training, or one of its own below it."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from brats_cascade import tracking
from brats_cascade.costs import read_facts, weights_of
from brats_cascade.project import Project
from brats_cascade.tracking.champion import candidate_tags
from brats_cascade.tracking.quiet import store_may_fail
from brats_cascade.tracking.store import open_store
from brats_cascade.tracking.trained import keep_note, log_training, read_note

EVALUATION = "evaluation"  # tag: stands for the parameters and the scores that were logged


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
    """The run to log an evaluation to; logged with its parameters, and as a candidate for champion.

    The first evaluation of a training goes to the training's run. One with other parameters or other scores goes to a run
    of its own, whose parent is the training's; so no run holds two evaluations.

    Args:
        name: The experiment.
        options: The block `evaluate` of params.yaml.
        summary: metrics/E/summary.json.
        params: Parameters of all stages before, for a run that has to be made.
        seconds: What the evaluation took.
        root: The project's folder.

    Yields:
        The run; None if the very same was logged before.
    """
    facts, note = {"git_commit": "unknown", **read_facts(root, name=name)}, read_note(name, root=root)
    flat = {f"evaluate.{key}": value for key, value in options.items()}
    stamp = _stamp(flat, summary)
    tags = {key: facts[key] for key in tracking.TAGS if key in facts}
    marks = {EVALUATION: stamp, **candidate_tags(root, facts=facts)}
    everything = {**params, **facts.get("params", {})}
    run_id, seconds_of_training = note["run_id"] or _run_of_weights(name, root=root), facts.get("seconds")
    settings: dict[str, Any] = {"tags": tags, "params": everything, "root": root}
    with tracking.resume_run(run_id, name=name, reopen=False, seconds=seconds_of_training, **settings) as training:
        if training.reopened or not note["logged"]:
            log_training(training, folder=Project(root).models / name)
            keep_note(name, run_id=training.id, logged=training.online, root=root)
        if (known := training.tag(EVALUATION)) is None:
            yield training
            training.log_params(flat)
            training.log_tags(marks)
            return
    if known == stamp or _child(training, stamp=stamp):
        yield None
        return
    title, tags[tracking.PARENT] = _title(name, options=flat, training=training), training.id
    with tracking.start_run(title, tags=tags, params=everything | flat, root=root, finish=True, seconds=seconds) as run:
        yield run
        run.log_tags(marks)


def _stamp(options: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """What stands for the parameters and the scores of an evaluation."""
    return hashlib.sha256(json.dumps([options, summary], sort_keys=True, default=str).encode()).hexdigest()[:32]


def _title(name: str, *, options: Mapping[str, Any], training: tracking.Run) -> str:
    """Name of an evaluation's own run: in what it differs from the one in the training's run."""
    changed = [f"{key}={value}" for key, value in options.items() if training.param(key) not in (None, str(value))]
    return f"{name}, {' '.join(changed).replace('evaluate.', '') or 'evaluated again'}"


def _run_of_weights(name: str, *, root: Path) -> str:
    """The run that a network was logged to, where no note says so; "" if there is none."""
    weights = weights_of(root, name=name)
    with store_may_fail():
        client, experiment = open_store(root)
        query = f"tags.weights = '{weights}' and tags.experiment = '{name}'"
        runs = client.search_runs([experiment], query, max_results=1)
        return str(runs[0].info.run_id) if runs else ""
    return ""


def _child(training: tracking.Run, *, stamp: str) -> bool:
    """Whether a training's run has a child with this evaluation."""
    if not training.online:
        return False
    experiment = training.client.get_run(training.id).info.experiment_id
    wanted = f"tags.`{tracking.PARENT}` = '{training.id}' and tags.{EVALUATION} = '{stamp}'"
    return bool(training.client.search_runs([experiment], wanted, max_results=1))
