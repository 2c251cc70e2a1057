"""One MLflow run: everything that is logged to it, and its behaviour if the store becomes unreachable."""

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.errors import one_line
from brats_cascade.evaluation.summary import flatten
from brats_cascade.tracking.champion import SCORE
from brats_cascade.tracking.model import log_network
from brats_cascade.tracking.quiet import quietly, store_may_fail
from brats_cascade.tracking.waiting import line

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from mlflow import MlflowClient

_TABLES = "mlflow.loggedArtifacts"  # the tag in which MLflow's pages find a run's tables

Entry = tuple[str, Any, int]  # metric, value, step

log = logging.getLogger(__name__)


class Run:
    """One MLflow run, by its id, from `start_run`; no global state.

    Attributes:
        id: MLflow's run id, "" if it could not be opened.
        uri: Of the store.
        online: False once a call has failed; every later call does nothing.
        new: True if no earlier process has logged anything to it, as for a run that replaces a deleted one.
    """

    def __init__(self, run_id: str, *, uri: str) -> None:
        self.id, self.uri = run_id, uri
        self.online = self.new = False
        self._client: MlflowClient | None = None
        self._earlier: set[str] | None = None
        self._rows = 0
        self._held: dict[str, dict[int, float]] = {}
        self._sets: dict[str, dict[str, str]] = {}

    def connect(self, run_id: str, *, client: "MlflowClient", new: bool = True) -> None:
        """Takes the run's id and the client that reaches it; a run that is not new may already have some data."""
        self.id, self._client, self.online, self.new = run_id, client, True, new

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client, for what has no method here."""
        assert self._client is not None
        return self._client

    def go_offline(self, error: Exception) -> None:
        """Reports a failed call on one line and makes every later one do nothing."""
        self.online = False
        log.warning(
            "MLflow at %s failed (%s: %s); nothing more is logged there in this run; every number stays in models/, "
            "metrics/ and reports/", self.uri, type(error).__name__, one_line(error),
        )  # fmt: skip

    @quietly
    def tag(self, key: str) -> str | None:
        """A tag of the run; None if it has none, or MLflow cannot be reached."""
        return self.client.get_run(self.id).data.tags.get(key)

    @quietly
    def param(self, key: str) -> str | None:
        """A parameter of the run, likewise."""
        return self.client.get_run(self.id).data.params.get(key)

    @quietly
    def finish(self, *, status: str = "FINISHED", seconds: float | None = None) -> None:
        """Closes the run as FINISHED, FAILED or KILLED; `seconds` is the duration to show, without interruptions."""
        end = None
        if seconds is not None:
            end = int(self.client.get_run(self.id).info.start_time + seconds * 1000)
        self.client.set_terminated(self.id, status, end)

    @quietly
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs flat parameters; those that the run already has are kept."""
        from mlflow.entities import Param

        held = {} if self.new else self.client.get_run(self.id).data.params
        params = {key: value for key, value in params.items() if key not in held}
        self.client.log_batch(self.id, params=[Param(key, str(value)) for key, value in params.items()])

    @quietly
    def log_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def _log_metrics(self, entries: Sequence[Entry], **about: str) -> None:
        """Logs (name, value, step), except NaN and values that are already logged; `about`: their model and dataset."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        known = [(name, float(value), step) for name, value, step in entries if value == value]
        new = [(name, value, step) for name, value, step in known if self._last(name).get(step) != value]
        self.client.log_batch(self.id, metrics=[Metric(name, value, now, step, **about) for name, value, step in new])

    def _last(self, name: str) -> dict[int, float]:
        """The value at every step of a metric that an earlier process has logged, so that none is logged twice."""
        if self._earlier is None:
            self._earlier = set() if self.new else set(self.client.get_run(self.id).data.metrics)
        if name in self._earlier and name not in self._held:
            points = sorted(self.client.get_metric_history(self.id, name), key=lambda point: int(point.timestamp))
            self._held[name] = {point.step: point.value for point in points}
        return self._held.get(name, {})

    def log_history(self, history: "pd.DataFrame", *, prefix: str = "") -> None:
        """Logs training curves, without waiting for the store; `settle` waits.

        `history` is as in history.csv, whole or in parts: every number becomes `phase1/loss` and so on, its step counted from
        the start of phase 1. `prefix` is put before every name: "cnn1/" for the experiment's own CNN 1.
        """
        names = [name for name in history.columns if name not in ("phase", "check", "step")]
        # The Dice first: MLflow's compare page draws the first metric, and losses under other weights are not comparable.
        names.sort(key=lambda name: name != "validation_complete")
        self.log_later(
            [
                (f"{prefix}phase{int(row['phase'])}/{name}", row[name], int(row["step"]))
                for row in history.to_dict("records")
                for name in names
            ]
        )

    def log_progress(self, history: Sequence[Mapping[str, float]]) -> None:
        """Logs the rows of a growing history that this process has not logged yet, likewise without waiting."""
        import pandas as pd

        if len(history) > self._rows:
            self.log_history(pd.DataFrame(history[self._rows :]))
            self._rows = len(history)

    def log_later(self, entries: Sequence[Entry]) -> None:
        """Logs (metric, value, step) without waiting for the store."""
        if self.online:
            line().tell(lambda: self._send(entries))

    def _send(self, entries: Sequence[Entry]) -> None:
        if self.online:
            with store_may_fail(self.go_offline):
                self._log_metrics(entries)

    @quietly
    def settle(self) -> None:
        """Waits for what was logged without waiting."""

    @quietly
    def log_scores(self, scores: Mapping[str, Any], *, prefix: str = "test") -> None:
        """Logs nested numbers: `{"core": {"dice": 0.5}}` becomes `test/core/dice`.

        If `log_data` has named the set, they are also logged as scores of the run's network on that dataset.
        """
        model = self.model_uri().removeprefix("models:/") if prefix in self._sets else ""
        about = {"model_id": model, **self._sets[prefix]} if model else {}
        self._log_metrics([(f"{prefix}/{name}", value, 0) for name, value in flatten(scores).items()], **about)

    def log_summary(self, summary: Mapping[str, Any]) -> None:
        """Logs exactly the content of metrics/E/summary.json: `validation/...`, `test/core/dice` ..., and the rule as tags."""
        apart = ("validation", "postprocess", "flips")
        validation = summary.get("validation", {})
        self.log_scores({key: validation[key] for key in sorted(validation, key="dice".__ne__)}, prefix="validation")
        self.log_scores({key: value for key, value in summary.items() if key not in apart})
        self.log_tags({f"postprocess.{key}": value for key, value in summary.get("postprocess", {}).items()})

    @quietly
    def expect_score(self) -> None:
        """Makes the validation Dice, NaN at first, the first metric of a new run: MLflow's compare page opens with it."""
        from mlflow.entities import Metric

        self.client.log_batch(self.id, metrics=[Metric(SCORE, float("nan"), int(time.time() * 1000), -1)])

    @quietly
    def log_data(self, sets: Mapping[str, Sequence[str]], *, volumes: str, source: str) -> None:
        """Names the cases a run was made from, as MLflow's pages show them: one dataset per set.

        `sets` are as in data/splits.json, `volumes` is DVC's hash of data/volumes, `source` is `data.source`.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for name, cases in sets.items():
            digest = hashlib.sha256(json.dumps([volumes, sorted(cases)]).encode()).hexdigest()[:32]
            profile = json.dumps({"cases": len(cases)})
            dataset = Dataset(f"{name}: {len(cases)} cases", digest, "local", source, profile=profile)
            inputs.append(DatasetInput(dataset, tags=[InputTag("mlflow.data.context", name)]))
            self._sets[name] = {"dataset_name": dataset.name, "dataset_digest": digest}
        self.client.log_inputs(self.id, datasets=inputs)

    @quietly
    def log_slices(self, slices: "pd.DataFrame") -> None:
        """Logs the per-slice table as curves over the slices (`slice_complete_f1/CASE`, step = slice), and as a table."""
        names = slices.columns.drop(["case", "slice", "truth_pixels", "predicted_pixels"])
        self._log_metrics(
            [
                (f"slice_{name}/{row['case']}", row[name], int(row["slice"]))
                for row in slices.to_dict("records")
                for name in names
            ]
        )
        self.log_table(slices, name="slices")

    @quietly
    def log_table(self, table: "pd.DataFrame", *, name: str) -> None:
        """Logs a table (`tables/NAME.json`), which MLflow's page compares across runs, in the place of an earlier one.

        MLflow's own log_table would append to it, in a run that is evaluated again.
        """
        place = f"tables/{name}.json"
        self.client.log_text(self.id, table.to_json(orient="split", index=False), place)
        listed = json.loads(self.client.get_run(self.id).data.tags.get(_TABLES, "[]"))
        entry = {"path": place, "type": "table"}
        if entry not in listed:
            self.client.set_tag(self.id, _TABLES, json.dumps([*listed, entry]))

    @quietly
    def log_text(self, text: str, *, name: str) -> None:
        """Logs a text as a file of this name."""
        self.client.log_text(self.id, text, name)

    @quietly
    def log_file(self, path: Path, *, folder: str | None = None) -> None:
        """Logs a file as it is."""
        self.client.log_artifact(self.id, str(path), folder)

    @quietly
    def log_model(self, model: "keras.Model", *, metadata: Mapping[str, Any], folder: Path) -> str:
        """Logs a network, as `log_network` does, unless the run has it; its URI, `models:/m-...`."""
        about: dict[str, Any] = {"run_id": self.id, "client": self.client, "uri": self.uri, "metadata": metadata}
        return self.model_uri() or log_network(model, folder=folder, **about)

    def model_uri(self) -> str:
        """URI of the network that an earlier process has logged whole; "" if there is none."""
        outputs = self.client.get_run(self.id).outputs
        for output in outputs.model_outputs if outputs else ():
            stored = self.client.get_logged_model(output.model_id)
            if stored.name == "model" and stored.status == "READY":
                return str(stored.model_uri)
        return ""
