"""Trains one entry of params.yaml `experiments`: models/E with the network, its history and its record."""

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _cost import count_arithmetic
from _experiment import MODELS, SPLITS, tags_of, train_entry
from _stage import experiment_named, run, stage_params

from brats_cascade import costs, provenance
from brats_cascade.backend import start_backend
from brats_cascade.config import Params

SHARED = Path(".work")  # survives a kill, not in git, not in DVC
WORK = SHARED / "train"  # checkpoints of unfinished trainings, a folder each


def main(params: Params, name: str) -> None:
    """Trains the experiment, goes on where a killed training stopped, and writes models/NAME."""
    start_backend()
    from brats_cascade.training.devices import open_devices

    entry = experiment_named(params, name)
    devices = open_devices(entry.train.devices)  # before anything else computes
    work, root = WORK / name, Path.cwd()
    tags, hashes = tags_of(params, entry, name=name, root=root), provenance.data_hashes(root)
    flat = {f"train.{key}": value for key, value in entry.train.model_dump().items()}
    flat |= {"data.source": params.data.source} | {f"hash.{path}": md5 for path, md5 in hashes.items()}
    settings: dict[str, Any] = {"work": work, "shared": SHARED, "devices": devices}
    if not devices.writes:  # one of several workers; the first one keeps the books
        train_entry(params, entry, **settings)
        return
    with _tracked(name, work=work, tags=tags, params=flat, before=stage_params(params), root=root) as (tracked, sent):
        if not sent.run_id:
            tracked.expect_score()
            sets = json.loads(SPLITS.read_text(encoding="utf-8"))
            seen = {part: sets[part] for part in ("train", "validation")}
            tracked.log_data(seen, volumes=hashes.get("data/volumes", "unknown"), source=params.data.source)
        trained, contract = train_entry(params, entry, **settings, on_check=lambda rows: sent.log(tracked, rows))
        count_arithmetic(trained.computed)
        parts = [trained.progress] if trained.first is None else [trained.progress, trained.first]
        record = {
            **{key: value for key, value in tags.items() if key != "git_commit"},
            "classes": list(contract.classes),
            "params": flat,
            "parameters": trained.network.count_params(),
            "labelled_pixels": sum(part.pixels for part in parts),
            "data_hashes": hashes,
        }
        spent = {
            "seconds": round(trained.seconds, 1),
            "peak_memory_mb": round(provenance.peak_memory_mb()),
            "machine": provenance.machine(),
            "git_commit": tags["git_commit"],
        }
        _finish(name, trained=trained, contract=contract, record=record, spent=spent, tracked=tracked, sent=sent)
    shutil.rmtree(work, ignore_errors=True)
    logging.info("%s: %d labelled pixels in %.0f s", MODELS / name, record["labelled_pixels"], spent["seconds"])


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
    name: str, *, work: Path, tags: dict[str, Any], params: dict[str, Any], before: dict[str, Any], root: Path
) -> Iterator[tuple[Any, _Sent]]:
    """A new run, or the one that a killed training of the same settings had opened."""
    from brats_cascade import tracking

    sent = _Sent(work / "run.json", params=params)
    if sent.run_id:
        opened = tracking.resume_run(
            sent.run_id, name=name, tags=tags, params={**before, **params}, root=root, finish=False
        )
    else:
        opened = tracking.start_run(name, tags=tags, params={**before, **params}, root=root)
    with opened as tracked:
        sent.keep(tracked)
        yield tracked, sent


def _finish(
    name: str, *, trained: Any, contract: Any, record: dict[str, Any], spent: dict[str, Any], tracked: Any, sent: _Sent
) -> None:
    """Everything is in files before anything is logged: a tracking server that is away costs nothing."""
    import pandas as pd

    from brats_cascade.models.files import save_trained
    from brats_cascade.tracking.notes import keep_note

    folder, history = MODELS / name, _history(trained.progress)
    save_trained(folder, network=trained.network, contract=contract)
    history.to_csv(folder / "history.csv", index=False)
    trained.weights.to_csv(folder / "class_weights.csv", index=False)
    first = None if trained.first is None else _history(trained.first)
    if first is not None:
        first.to_csv(folder / "history_cnn1.csv", index=False)
    (folder / costs.RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    weights = costs.weights_of(Path(), name=name)
    costs.keep_costs(Path(), name=name, what="training", result=weights, costs=spent)
    keep_note(name, run_id=tracked.id, logged=False)
    sent.log(tracked, trained.progress.history)
    if trained.first is not None:
        tracked.log_history(pd.DataFrame(trained.first.history), prefix="cnn1/")
    tracked.log_tags({"weights": weights})
    tracked.log_class_weights(trained.weights)
    counts = {key: record[key] for key in ("labelled_pixels", "parameters")}
    tracked.log_scores({"seconds": spent["seconds"], **counts}, prefix="training")
    tracked.log_model(trained.network, metadata=contract.as_dict(), folder=folder)
    tracked.log_file(folder / "model.json")
    tracked.finish(seconds=spent["seconds"])
    keep_note(name, run_id=tracked.id, logged=tracked.online)


def _history(progress: Any) -> Any:
    """The history that models/NAME keeps: without the seconds, which no second run repeats."""
    import pandas as pd

    return pd.DataFrame(progress.history).drop(columns="seconds")


if __name__ == "__main__":
    run(main, arguments=("experiment",), heavy=True)
