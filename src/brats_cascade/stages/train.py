"""Trains one entry of params.yaml `experiments`: models/E with the network, its history and its record."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brats_cascade import costs, provenance
from brats_cascade.backend import start_backend
from brats_cascade.errors import UserError
from brats_cascade.metering import CPU, GPU, Meter
from brats_cascade.params import ExperimentParams, Params
from brats_cascade.project import Project, read_json, read_state
from brats_cascade.shared import TakenError, claimed, write_json, write_text
from brats_cascade.stages.cost import count_arithmetic
from brats_cascade.stages.script import experiment_named, stage_params
from brats_cascade.stages.train_entry import contract_of, facts_of, open_data, tags_of, train_entry


def train(project: Project, params: Params, name: str) -> None:
    """Trains the experiment, goes on where a killed training stopped, and writes models/NAME."""
    start_backend()
    import keras

    from brats_cascade.training.open_devices import open_devices

    keras.utils.clear_session()  # layers are named by counting from 1, whatever this process has built before
    entry = experiment_named(params, name)
    devices = open_devices(entry.train.devices)  # before anything else computes
    folder, data = project.work / "train" / name, open_data(project)
    if not devices.writes:  # one of several workers; the first one keeps the books
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
    """Trains the experiment as one MLflow run, and writes models/NAME."""
    from brats_cascade.tracking.system import watching
    from brats_cascade.tracking.trained import keep_note, log_training

    facts = facts_of(project)
    tags, hashes = tags_of(project, params, entry, name=name, facts=facts), provenance.data_hashes(project.root)
    flat = {f"train.{key}": value for key, value in entry.train.model_dump().items()}
    flat |= {"data.source": params.data.source} | {f"hash.{path}": md5 for path, md5 in hashes.items()}
    with _tracked(project, name, folder=folder, tags=tags, params=flat, before=stage_params(params)) as (tracked, sent):
        if not sent.run_id:
            tracked.expect_score()
            seen = {part: names for part, names in read_json(project.splits).items() if part in ("train", "validation")}
            tracked.log_data(seen, volumes=hashes.get("data/volumes", "unknown"), source=params.data.source)
        meter = Meter()
        with watching(tracked):
            trained = train_entry(
                project, entry, data=data, folder=folder, devices=devices, on_check=lambda rows: sent.log(tracked, rows)
            )
        count_arithmetic(trained.computed)
        spent = _spent(trained, meter=meter, precision=entry.train.precision, commit=tags["git_commit"])
        contract = contract_of(params, entry.architecture, trained=trained, classes=data.classes, facts=facts)
        _write(project, name, trained=trained, contract=contract, tags=tags, params=flat, hashes=hashes, spent=spent)
        keep_note(name, run_id=tracked.id, logged=False, root=project.root)
        sent.log(tracked, trained.progress.history)
        log_training(tracked, folder=project.models / name, in_memory=(trained.network, contract))
        tracked.finish(seconds=round(trained.seconds, 1))
        keep_note(name, run_id=tracked.id, logged=tracked.online, root=project.root)
    shutil.rmtree(folder, ignore_errors=True)
    logging.info("%s: trained in %.0f s", project.models / name, trained.seconds)


class _Sent:
    """The note beside the checkpoint: which MLflow run of which settings; and how much of the history it was sent."""

    def __init__(self, path: Path, *, params: dict[str, Any]) -> None:
        self._path = path
        self._params = {key: str(value) for key, value in params.items()}
        note = read_state(path) or {}
        self.run_id: str = note.get("run_id", "") if note.get("params") == self._params else ""
        self._rows = 0

    def keep(self, tracked: Any) -> None:
        """Puts the run's id on disk, whole; a full disk costs a line, not the training."""
        try:
            write_json(self._path, {"run_id": tracked.id, "params": self._params})
        except OSError as error:
            logging.warning("%s: not written (%s); a rerun after a kill would open another run", self._path, error)

    def log(self, tracked: Any, rows: list[dict[str, float]]) -> None:
        """Logs the rows of the history that this process has not logged; the checkpoint holds them all already."""
        import pandas as pd

        if len(rows) > self._rows:
            tracked.log_history(pd.DataFrame(rows[self._rows :]))
            self._rows = len(rows)


@contextlib.contextmanager
def _tracked(
    project: Project, name: str, *, folder: Path, tags: dict[str, Any], params: dict[str, Any], before: dict[str, Any]
) -> Iterator[tuple[Any, _Sent]]:
    """A new run, or the one that a killed training of the same settings had opened."""
    from brats_cascade import tracking

    sent = _Sent(folder / "run.json", params=params)
    settings: dict[str, Any] = {"name": name, "tags": tags, "params": {**before, **params}, "root": project.root}
    opened = (
        tracking.resume_run(sent.run_id, finish=False, **settings) if sent.run_id else tracking.start_run(**settings)
    )
    with opened as tracked:
        sent.keep(tracked)
        yield tracked, sent


def _spent(trained: Any, *, meter: Meter, precision: str, commit: str) -> dict[str, Any]:
    """What the training cost, and in what it ran; without processor time where an earlier process had done a part."""
    import keras

    whole = trained.computed >= trained.seconds
    read = meter.read()
    return {
        "seconds": round(trained.seconds, 1),
        **({CPU: round(read[CPU], 1)} if whole else {}),
        **({GPU: round(trained.seconds, 1)} if GPU in read else {}),
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
    """Writes models/NAME and what it cost, before anything is logged: a tracking server that is away costs nothing.

    record.json is the same whenever the same training is repeated; so is the history, which has no seconds there.
    """
    import pandas as pd

    from brats_cascade.models.files import save_trained

    folder = project.models / name
    save_trained(folder, network=trained.network, contract=contract)
    histories = {"history": trained.progress, "history_cnn1": trained.cnn1}
    parts = {table: progress for table, progress in histories.items() if progress is not None}
    for table, progress in parts.items():
        write_text(folder / f"{table}.csv", pd.DataFrame(progress.history).drop(columns="seconds").to_csv(index=False))
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
