"""Trains one entry of params.yaml `experiments`: models/E with the network, its history and its record."""

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brats_cascade import costs, provenance
from brats_cascade.backend import start_backend
from brats_cascade.params import Params
from brats_cascade.project import Project
from brats_cascade.stages.cost import count_arithmetic
from brats_cascade.stages.script import experiment_named, stage_params
from brats_cascade.stages.train_entry import contract_of, open_data, tags_of, train_entry


def train(project: Project, params: Params, name: str) -> None:
    """Trains the experiment, goes on where a killed training stopped, and writes models/NAME."""
    start_backend()
    import keras

    from brats_cascade.tracking.notes import keep_note
    from brats_cascade.training.open_devices import open_devices

    keras.utils.clear_session()  # layers are named by counting from 1, whatever this process has built before
    entry = experiment_named(params, name)
    devices = open_devices(entry.train.devices)  # before anything else computes
    folder = project.work / "train" / name
    tags, hashes = tags_of(project, params, entry, name=name), provenance.data_hashes(project.root)
    flat = {f"train.{key}": value for key, value in entry.train.model_dump().items()}
    flat |= {"data.source": params.data.source} | {f"hash.{path}": md5 for path, md5 in hashes.items()}
    if not devices.writes:  # one of several workers; the first one keeps the books
        train_entry(project, entry, data=open_data(project), folder=folder, devices=devices)
        return
    before = stage_params(params)
    with _tracked(project, name, folder=folder, tags=tags, params=flat, before=before) as (tracked, sent):
        if not sent.run_id:
            tracked.expect_score()
            sets = json.loads(project.splits.read_text(encoding="utf-8"))
            seen = {part: sets[part] for part in ("train", "validation")}
            tracked.log_data(seen, volumes=hashes.get("data/volumes", "unknown"), source=params.data.source)
        data = open_data(project)
        trained = train_entry(
            project, entry, data=data, folder=folder, devices=devices, on_check=lambda rows: sent.log(tracked, rows)
        )
        contract = contract_of(project, params, architecture=entry.architecture, trained=trained, classes=data.classes)
        count_arithmetic(trained.computed)
        record = _record(trained, tags=tags, params=flat, classes=contract.classes, hashes=hashes)
        spent = {
            "seconds": round(trained.seconds, 1),
            "peak_memory_mb": round(provenance.peak_memory_mb()),
            "machine": provenance.machine(),
            "git_commit": tags["git_commit"],
        }
        _write(project, name, trained=trained, contract=contract, record=record, spent=spent)
        keep_note(name, run_id=tracked.id, logged=False, root=project.root)
        sent.log(tracked, trained.progress.history)
        _log(project, name, trained=trained, contract=contract, record=record, spent=spent, tracked=tracked)
    shutil.rmtree(folder, ignore_errors=True)
    logging.info("%s: %d labelled pixels in %.0f s", project.models / name, record["labelled_pixels"], spent["seconds"])


class _Sent:
    """The note beside the checkpoint: which MLflow run of which settings; and how much of the history that run has."""

    def __init__(self, path: Path, *, params: dict[str, Any]) -> None:
        self._path = path
        self._params = {key: str(value) for key, value in params.items()}
        note = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.run_id: str = note.get("run_id", "") if note.get("params") == self._params else ""
        self._rows = 0

    def keep(self, tracked: Any) -> None:
        """Puts the run's id on disk, whole, and asks the run what it has; a full disk costs a line, not the training."""
        unfinished = self._path.with_name(f".{self._path.name}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({"run_id": tracked.id, "params": self._params}), encoding="utf-8")
            unfinished.replace(self._path)
        except OSError as error:
            logging.warning("%s: not written (%s); a rerun after a kill would open another run", self._path, error)
        if tracked.online and tracked.id == self.run_id:
            from brats_cascade.tracking.quiet import store_may_fail

            with store_may_fail(tracked.go_offline):
                curves = [tracked.client.get_metric_history(tracked.id, f"phase{number}/loss") for number in (1, 2)]
                self._rows = sum(len({point.step for point in curve}) for curve in curves)

    def log(self, tracked: Any, rows: list[dict[str, float]]) -> None:
        """Logs the rows of the history that the run does not have yet; the checkpoint holds them all already."""
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
    everything, root = {**before, **params}, project.root
    if sent.run_id:
        opened = tracking.resume_run(sent.run_id, name=name, tags=tags, params=everything, root=root, finish=False)
    else:
        opened = tracking.start_run(name, tags=tags, params=everything, root=root)
    with opened as tracked:
        sent.keep(tracked)
        yield tracked, sent


def _record(
    trained: Any, *, tags: dict[str, Any], params: dict[str, Any], classes: tuple[int, ...], hashes: dict[str, str]
) -> dict[str, Any]:
    """What models/NAME/record.json holds: the same whenever the same training is repeated."""
    return {
        **{key: value for key, value in tags.items() if key != "git_commit"},
        "classes": list(classes),
        "params": params,
        "parameters": trained.network.count_params(),
        "labelled_pixels": trained.pixels,
        "data_hashes": hashes,
    }


def _write(
    project: Project, name: str, *, trained: Any, contract: Any, record: dict[str, Any], spent: dict[str, Any]
) -> None:
    """Writes models/NAME and what it cost, before anything is logged: a tracking server that is away costs nothing."""
    from brats_cascade.models.files import save_trained

    folder = project.models / name
    save_trained(folder, network=trained.network, contract=contract)
    _history(trained.progress).to_csv(folder / "history.csv", index=False)
    trained.weights.to_csv(folder / "class_weights.csv", index=False)
    if trained.cnn1 is not None:
        _history(trained.cnn1).to_csv(folder / "history_cnn1.csv", index=False)
    (folder / costs.RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    weights = costs.weights_of(project.root, name=name)
    costs.keep_costs(project.root, name=name, what="training", result=weights, costs=spent)


def _log(
    project: Project,
    name: str,
    *,
    trained: Any,
    contract: Any,
    record: dict[str, Any],
    spent: dict[str, Any],
    tracked: Any,
) -> None:
    """Logs what models/NAME holds, and notes that the run has it."""
    import pandas as pd

    from brats_cascade.tracking.notes import keep_note

    folder = project.models / name
    if trained.cnn1 is not None:
        tracked.log_history(pd.DataFrame(trained.cnn1.history), prefix="cnn1/")
    tracked.log_tags({"weights": costs.weights_of(project.root, name=name)})
    tracked.log_class_weights(trained.weights)
    counts = {key: record[key] for key in ("labelled_pixels", "parameters")}
    tracked.log_scores({"seconds": spent["seconds"], **counts}, prefix="training")
    tracked.log_model(trained.network, metadata=contract.as_dict(), folder=folder)
    tracked.log_file(folder / "model.json")
    tracked.finish(seconds=spent["seconds"])
    keep_note(name, run_id=tracked.id, logged=tracked.online, root=project.root)


def _history(progress: Any) -> Any:
    """The history that models/NAME keeps: without the seconds, which no second run repeats."""
    import pandas as pd

    return pd.DataFrame(progress.history).drop(columns="seconds")
