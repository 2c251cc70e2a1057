"""One MLflow run: everything that is logged to it."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.tracking.champion import SCORE
from brats_cascade.tracking.entries import history_entries, slice_entries, weight_statistics
from brats_cascade.tracking.quiet import QuietRun, quietly, store_may_fail

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from matplotlib.figure import Figure

_PARAMS = 100  # in one request, MLflow's limit over HTTP
_TABLES = "mlflow.loggedArtifacts"  # the tag in which MLflow's pages look for a run's tables


class Run(QuietRun):
    """One MLflow run, by its id; no global state."""

    @quietly
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs flat parameters."""
        from mlflow.entities import Param

        entries = [Param(key, str(value)) for key, value in params.items()]
        for start in range(0, len(entries), _PARAMS):
            self.client.log_batch(self.id, params=entries[start : start + _PARAMS])

    @quietly
    def log_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    @quietly
    def log_history(self, history: "pd.DataFrame", *, prefix: str = "") -> None:
        """Logs training curves.

        Args:
            history: As in history.csv; every number becomes `phase1/loss` and so on, its step counted from the start of
                phase 1. May be one new row at a time (with `step` already counted so) or the whole table.
            prefix: Put before every name: "cnn1/" for the curves of a CNN 1 that was trained within.
        """
        self.log_metrics(list(history_entries(history, prefix=prefix)))

    @quietly
    def log_scores(self, scores: Mapping[str, Any], *, prefix: str = "test") -> None:
        """Logs the numbers of metrics/E/summary.json: `{"core": {"dice": 0.5}}` becomes `test/core/dice`.

        Args:
            scores: Nested numbers; the very dict that was written to the file.
            prefix: Put before every name.
        """
        from brats_cascade.evaluation.summary import flatten

        self.log_metrics([(f"{prefix}/{name}", value, 0) for name, value in flatten(scores).items()])

    def log_summary(self, summary: Mapping[str, Any]) -> None:
        """Logs the very dict of metrics/E/summary.json: `validation/...`, `test/core/dice` ..., and the rule as tags."""
        apart = ("validation", "postprocess", "flips")
        validation = summary.get("validation", {})
        self.log_scores({key: validation[key] for key in sorted(validation, key="dice".__ne__)}, prefix="validation")
        self.log_scores({key: value for key, value in summary.items() if key not in apart})
        self.log_tags({f"postprocess.{key}": value for key, value in summary.get("postprocess", {}).items()})

    @quietly
    def expect_score(self) -> None:
        """Makes the validation Dice the first metric of a new run, on which MLflow's compare page opens: not a number yet."""
        from mlflow.entities import Metric

        self.client.log_batch(self.id, metrics=[Metric(SCORE, float("nan"), int(time.time() * 1000), -1)])

    @quietly
    def log_data(self, sets: Mapping[str, Sequence[str]], *, volumes: str, source: str) -> None:
        """Names the cases a run was made from, as MLflow's pages show them: one dataset a set.

        Args:
            sets: "train", "validation", "test" -> names of cases, as in data/splits.json.
            volumes: DVC's hash of data/volumes.
            source: The cohort's folder, `data.source`.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for name, cases in sets.items():
            digest = hashlib.sha256(json.dumps([volumes, sorted(cases)]).encode()).hexdigest()[:32]
            profile = json.dumps({"cases": len(cases)})
            inputs.append(
                DatasetInput(
                    Dataset(f"{name}: {len(cases)} cases", digest, "local", source, profile=profile),
                    tags=[InputTag("mlflow.data.context", name)],
                )
            )
        self.client.log_inputs(self.id, datasets=inputs)

    @quietly
    def log_slices(self, slices: "pd.DataFrame") -> None:
        """Logs the per-slice table as curves over the slices, and as a table.

        Args:
            slices: case and the columns of `evaluation.slices.slice_table`, possibly with the earlier work's score.
                Every score becomes one metric a case, `slice_complete_f1/CASE`, whose step is the slice.
        """
        self.log_metrics(list(slice_entries(slices)))
        self._put_table(slices, name="slices")

    @quietly
    def log_table(self, table: "pd.DataFrame", *, name: str) -> None:
        """Logs a table (`tables/NAME.json`), which MLflow's page compares across runs."""
        self._put_table(table, name=name)

    def _put_table(self, table: "pd.DataFrame", *, name: str) -> None:
        """Puts a table in the place of an earlier one: MLflow's own log_table would append to it, in a run evaluated again."""
        place = f"tables/{name}.json"
        self.client.log_text(self.id, table.to_json(orient="split", index=False), place)
        listed = json.loads(self.client.get_run(self.id).data.tags.get(_TABLES, "[]"))
        entry = {"path": place, "type": "table"}
        if entry not in listed:
            self.client.set_tag(self.id, _TABLES, json.dumps([*listed, entry]))

    @quietly
    def log_class_weights(self, weights: "pd.DataFrame", *, figure: "Figure | None" = None) -> None:
        """Logs the class weights used in training.

        Args:
            weights: As in class_weights.csv. Logged whole as a file; also the mean, least and largest weight of every
                label and the share of slices that hold it, as a table.
            figure: A picture of them.
        """
        self.client.log_text(self.id, weights.to_csv(index=False), "class_weights.csv")
        self._put_table(weight_statistics(weights), name="class_weights")
        if figure is not None:
            self.client.log_figure(self.id, figure, "figures/class_weights.png")

    @quietly
    def log_figures(self, figures: Mapping[str, "Figure | Path"]) -> None:
        """Logs figures, drawn or in files, as `figures/NAME.png`."""
        for name, figure in figures.items():
            if isinstance(figure, Path):
                self.client.log_artifact(self.id, str(figure), "figures")
            else:
                self.client.log_figure(self.id, figure, f"figures/{name}.png")

    def log_note(self, text: str) -> None:
        """Sets the description on the run's page, Markdown."""
        self.log_tags({"mlflow.note.content": text})

    @quietly
    def log_file(self, path: Path, *, folder: str | None = None) -> None:
        """Logs a file as it is."""
        self.client.log_artifact(self.id, str(path), folder)

    def log_model(
        self,
        model: "keras.Model",
        *,
        metadata: Mapping[str, Any],
        folder: Path,
        pip_requirements: Sequence[str] | None = None,
    ) -> str:
        """Logs a network with a signature whose batch, rows and columns are free.

        Args:
            model: One image input (batch, rows, columns, modalities), one output.
            metadata: Plain values kept with the model: classes, architecture, modalities ...
            folder: models/E, whose model.keras and model.json go along.
            pip_requirements: What loading it needs; the installed keras and its backend by default.

        Returns:
            The model's URI, `models:/m-...`, or "" if it could not be logged.
        """
        from brats_cascade.tracking.model import log_network

        if not self.online:
            return ""
        with store_may_fail(self.go_offline):
            return log_network(
                model,
                run_id=self.id,
                client=self.client,
                uri=self._uri,
                metadata=metadata,
                folder=folder,
                pip_requirements=pip_requirements,
            )
        return ""
