"""Trains one entry of params.yaml `experiments`: models/E with the network, its history and its record."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade import costs, provenance, tracking
from brats_cascade.backend import start_backend
from brats_cascade.errors import UserError
from brats_cascade.metering import CPU, GPU, SECONDS
from brats_cascade.params import ExperimentParams, Params
from brats_cascade.project import Project, read_json, read_state
from brats_cascade.shared import TakenError, claimed, write_json, write_text
from brats_cascade.stages.cost import count_arithmetic
from brats_cascade.stages.script import experiment_named, stage_params
from brats_cascade.stages.train_entry import contract_of, facts_of, on_this_device, open_data, tags_of, train_entry
from brats_cascade.tracking.notes import keep_note
from brats_cascade.tracking.system import watching


def train(project: Project, params: Params, name: str) -> None:
    """Trains the experiment, resuming a killed training, and writes models/NAME."""
    start_backend()
    import keras

    from brats_cascade.training.devices import open_devices

    keras.utils.clear_session()  # restart Keras's numbering of layers
    entry = experiment_named(params, name)
    devices = open_devices(entry.train.devices)  # before any other computation
    entry = entry.model_copy(update={"train": on_this_device(entry.train)})
    folder, data = project.work / "train" / name, open_data(project)
    if not devices.writes:  # only the first of several workers writes results
        train_entry(project, entry, data=data, folder=folder, devices=devices)
        return
    try:
        with claimed(project.work / "train" / f".{name}.lock"):
            _train_tracked(project, params, entry, name=name, data=data, folder=folder, devices=devices)
    except TakenError as error:
        raise UserError(
            f"{folder}: {name} is being trained by process {str(error) or 'unknown'}; wait for its end or end it"
        ) from None


def _train_tracked(
    project: Project, params: Params, entry: ExperimentParams, *, name: str, data: Any, folder: Path, devices: Any
) -> None:
    """Trains the experiment in one MLflow run, and writes models/NAME."""
    from brats_cascade.tracking.trained import log_training

    facts = facts_of(project)
    tags, hashes = tags_of(project, params, entry, name=name, facts=facts), provenance.data_hashes(project.root)
    flat = {f"train.{key}": value for key, value in entry.train.model_dump().items()}
    flat |= {"data.source": params.data.source} | {f"hash.{path}": md5 for path, md5 in hashes.items()}
    with _tracked(project, name, folder=folder, tags=tags, params=flat, before=stage_params(params)) as tracked:
        if tracked.new:
            tracked.expect_score()
            seen = {part: names for part, names in read_json(project.splits).items() if part in ("train", "validation")}
            tracked.log_data(seen, volumes=hashes.get("data/volumes", "unknown"), source=params.data.source)
        with watching(tracked):
            trained = train_entry(
                project, entry, data=data, folder=folder, devices=devices, on_check=tracked.log_progress
            )
        count_arithmetic(trained.computed)
        spent = _spent(trained, precision=entry.train.precision, commit=tags["git_commit"])
        contract = contract_of(params, entry.architecture, trained=trained, classes=data.classes, facts=facts)
        _write(project, name, trained=trained, contract=contract, tags=tags, params=flat, hashes=hashes, spent=spent)
        keep_note(name, run_id=tracked.id, logged=False, root=project.root)
        tracked.log_progress(trained.progress.history)
        log_training(tracked, folder=project.models / name, in_memory=(trained.network, contract), spent=spent)
        tracked.finish(seconds=round(trained.seconds, 1))
        keep_note(name, run_id=tracked.id, logged=tracked.online, root=project.root)
    shutil.rmtree(folder, ignore_errors=True)
    logging.info("%s: trained in %.0f s", project.models / name, trained.seconds)


@contextlib.contextmanager
def _tracked(
    project: Project, name: str, *, folder: Path, tags: dict[str, Any], params: dict[str, Any], before: dict[str, Any]
) -> Iterator[tracking.Run]:
    """A new run, or the run of a killed training of the same network, from the note next to the checkpoint."""
    from brats_cascade.training.fingerprint import computed_with

    note, cnn1 = folder / "run.json", project.root / tags["builds_on"] / costs.NETWORK
    decisive = {**tags, **params, "cnn1": costs.fingerprint(cnn1), "code": computed_with()}
    decisive.pop("git_commit")  # not every commit changes the code
    own = {key: str(value) for key, value in decisive.items()}
    known = run_in(note, params=own)
    with tracking.start_run(name, run_id=known, tags=tags, params={**before, **params}, root=project.root) as tracked:
        try:
            write_json(note, {"run_id": tracked.id, "params": own})
        except OSError as error:  # a full disk causes a warning, not a failure
            logging.warning("%s: not written (%s); a rerun after a kill would open another run", note, error)
        yield tracked


def run_in(note: Path, *, params: dict[str, str]) -> str:
    """The MLflow run in a note; "" if there is no note, or it has other settings."""
    known = read_state(note) or {}
    return str(known.get("run_id", "")) if known.get("params") == params else ""


def _spent(trained: Any, *, precision: str, commit: str) -> dict[str, Any]:
    """The cost of the training, including the part that an earlier process did, and its environment."""
    import keras

    return {
        SECONDS: round(trained.seconds, 1),
        CPU: round(trained.cpu_seconds, 1),
        **({GPU: round(trained.seconds, 1)} if provenance.accelerators() else {}),
        "peak_memory_mb": round(provenance.peak_memory_mb()),
        "machine": provenance.machine(),
        "git_commit": commit,
        "environment": provenance.environment(backend=keras.backend.backend(), precision=precision, commit=commit),
    }


def _write(
    project: Project,
    name: str,
    *,
    trained: Any,
    contract: Any,
    tags: dict[str, Any],
    params: dict[str, Any],
    hashes: dict[str, str],
    spent: dict[str, Any],
) -> None:
    """Writes models/NAME and its costs before anything is logged, so that nothing is lost if the tracking server is away.

    record.json and the history, which contains no seconds there, are the same whenever the same training is repeated.
    """
    from brats_cascade.models.files import save_trained

    folder = project.models / name
    save_trained(folder, network=trained.network, contract=contract)
    for table, part in {"history": trained, "history_cnn1": trained.cnn1}.items():
        if part is not None:
            rows = pd.DataFrame(part.progress.history).drop(columns="seconds")
            write_text(folder / f"{table}.csv", rows.to_csv(index=False))
    write_text(folder / "class_weights.csv", trained.weights.to_csv(index=False))
    record = {
        **{key: value for key, value in tags.items() if key != "git_commit"},
        "classes": list(contract.classes),
        "params": params,
        "parameters": trained.network.count_params(),
        "labelled_pixels": trained.pixels,
        "data_hashes": hashes,
    }
    write_json(folder / costs.RECORD, record)
    weights = costs.weights_of(project.root, name=name)
    costs.keep_costs(project.root, name=name, what="training", result=weights, costs=spent)
