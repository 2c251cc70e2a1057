"""Which run an evaluation belongs to: that of its training, or one of its own below it."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from brats_cascade import tracking
from brats_cascade.costs import read_facts, weights_of
from brats_cascade.project import Project
from brats_cascade.tracking.champion import CANDIDATE, candidate_tags
from brats_cascade.tracking.quiet import ask
from brats_cascade.tracking.store import open_store, prepare_store, tracking_uri
from brats_cascade.tracking.trained import keep_note, log_training, read_note

# Tag: stands for the parameters and the scores that are logged; where all of them are, the run has the tag CANDIDATE, too.
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
    """The run to log an evaluation to; logged with its parameters, and in the end as a candidate for champion.

    The first evaluation of a training goes to the training's run, one with other parameters or scores to a run of its own
    below it; so no run holds two evaluations. One that was logged in part is completed.

    Args:
        name: The experiment.
        options: The block `evaluate` of params.yaml.
        summary: metrics/E/summary.json.
        params: Parameters of all stages before, for a run that has to be made.
        seconds: What the evaluation took.
        root: The project's folder.

    Yields:
        The run, a silent one if the store is away; None if the very same was logged before.
    """
    facts = {"git_commit": "unknown", **read_facts(root, name=name)}
    flat = {f"evaluate.{key}": value for key, value in options.items()}
    stamp, marks = _stamp(flat, summary), candidate_tags(root, facts=facts)
    tags = {key: facts[key] for key in tracking.TAGS if key in facts}
    everything = {**params, **facts.get("params", {})}
    with _training_run(name, tags=tags, params=everything, seconds=facts.get("seconds"), root=root) as training:
        first = training.tag(EVALUATION) in (None, stamp)
        child, complete = ("", training.tag(CANDIDATE) is not None) if first else _child(training, stamp=stamp)
        if complete or not training.online:
            yield None if complete else training
            return
        if first:
            training.log_params(flat)
            training.log_tags({EVALUATION: stamp})
            yield training
            training.log_tags(marks)
            return
    title = _title(name, options=flat, training=training)
    tags |= {tracking.PARENT: training.id, EVALUATION: stamp}
    with _own_run(child, name=title, tags=tags, params=everything | flat, root=root) as run:
        yield run
        run.log_tags(marks)
        run.finish(seconds=seconds)


def _own_run(child: str, *, name: str, **settings: Any) -> contextlib.AbstractContextManager[tracking.Run]:
    """An evaluation's own run: a new one, or the one that an earlier process has not completed."""
    return tracking.resume_run(child, name=name, **settings) if child else tracking.start_run(name, **settings)


@contextlib.contextmanager
def _training_run(
    name: str, *, tags: Mapping[str, Any], params: Mapping[str, Any], seconds: float | None, root: Path
) -> Iterator[tracking.Run]:
    """The run of the network in models/E, with all that training had to log; a silent one if the store is away."""
    note = read_note(name, root=root)
    run_id = note["run_id"] or _run_of_weights(name, root=root)
    if run_id is None:
        yield tracking.Run("", uri=tracking_uri(root))
        return
    settings: dict[str, Any] = {
        "tags": {**tags, "weights": weights_of(root, name=name)},
        "params": params,
        "seconds": seconds,
    }
    with tracking.resume_run(run_id, name=name, reopen=False, root=root, **settings) as training:
        if training.reopened or not note["logged"]:
            keep_note(name, run_id=training.id or run_id, logged=False, root=root)
            training.log_params(params)
            log_training(training, folder=Project(root).models / name)
            training.finish(seconds=seconds)
            keep_note(name, run_id=training.id or run_id, logged=training.online, root=root)
        yield training


def _stamp(options: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """What stands for the parameters and the scores of an evaluation."""
    return hashlib.sha256(json.dumps([options, summary], sort_keys=True, default=str).encode()).hexdigest()[:32]


def _title(name: str, *, options: Mapping[str, Any], training: tracking.Run) -> str:
    """Name of an evaluation's own run: in what it differs from the one in the training's run."""
    changed = [f"{key}={value}" for key, value in options.items() if training.param(key) not in (None, str(value))]
    return f"{name}, {' '.join(changed).replace('evaluate.', '') or 'evaluated again'}"


def _run_of_weights(name: str, *, root: Path) -> str | None:
    """The run that a network was logged to, where no note says so; "" if there is none, None if the store is away."""
    query = f"tags.weights = '{weights_of(root, name=name)}' and tags.experiment = '{name}'"

    def search() -> str:
        client, experiment = open_store(root)
        runs = client.search_runs([experiment], query, max_results=1)
        return str(runs[0].info.run_id) if runs else ""

    prepare_store(root)
    return cast("str | None", ask(search))


def _child(training: tracking.Run, *, stamp: str) -> tuple[str, bool]:
    """The run below a training's that holds this evaluation, "" if there is none, and whether it holds all of it."""
    wanted = f"tags.`{tracking.PARENT}` = '{training.id}' and tags.{EVALUATION} = '{stamp}'"

    def search() -> Sequence[Any]:
        experiment = training.client.get_run(training.id).info.experiment_id
        return list(training.client.search_runs([experiment], wanted, max_results=1))

    for found in ask(search, otherwise=[], report=training.go_offline) if training.online else ():
        return str(found.info.run_id), CANDIDATE in found.data.tags and found.info.status == "FINISHED"
    return "", False
