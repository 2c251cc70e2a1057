"""Logs the output of a training, a folder models/E, to its run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.costs import read_facts, weights_of
from brats_cascade.metering import CPU, SECONDS
from brats_cascade.project import read_table
from brats_cascade.provenance import ENVIRONMENT
from brats_cascade.tracking.quiet import quietly
from brats_cascade.tracking.run import Run

NOTE = "mlflow.note.content"  # the tag that MLflow's pages show as the description


def log_training(
    run: Run, *, folder: Path, in_memory: tuple[Any, Any] | None = None, spent: Mapping[str, Any] | None = None
) -> None:
    """Logs class weights, counts and the network of a folder models/E to the run of its training.

    Directly after training, network and contract are `in_memory`, the run has its curves already, and `spent` is the cost,
    because the files may have the costs of an earlier training of the same network. Otherwise the run is a new one, which
    replaces a deleted run and gets everything from the files.
    """
    from brats_cascade.models.files import load_trained

    root, name = folder.parent.parent, folder.name
    facts = read_facts(root, name=name) | dict(spent or {})
    curves = {"cnn1/": "history_cnn1.csv"}
    if in_memory is None:
        run.expect_score()
        curves = {"": "history.csv", **curves}
    for prefix, table in curves.items():
        if (folder / table).is_file():
            run.log_history(read_table(folder / table), prefix=prefix)
    weights = read_table(folder / "class_weights.csv")
    run.log_text(weights.to_csv(index=False), name="class_weights.csv")
    run.log_table(weight_statistics(weights), name="class_weights")
    counts = {key: facts[key] for key in (SECONDS, CPU, "labelled_pixels", "parameters") if key in facts}
    run.log_scores(counts, prefix="training")
    run.log_tags({"weights": weights_of(root, name=name)})
    network, contract = in_memory or load_trained(folder)
    made_in = {key: facts[key] for key in ("environment",) if key in facts}
    if made_in:
        run.log_text(json.dumps(made_in["environment"], indent=1) + "\n", name=ENVIRONMENT)
    run.log_model(network, metadata=contract.as_dict() | made_in, folder=folder)
    run.log_file(folder / "model.json")


@quietly
def describe(run: Run, text: str) -> None:
    """Sets the description (Markdown) of a run and of the network that was logged to it."""
    run.client.set_tag(run.id, NOTE, text)
    if model := run.model_uri():
        run.client.set_logged_model_tags(model.removeprefix("models:/"), {NOTE: text})


def weight_statistics(weights: pd.DataFrame) -> pd.DataFrame:
    """One row per label: label, mean, minimum and maximum weight, and the share of slices that contain it."""
    columns = weights.filter(like="weight_")
    table = pd.DataFrame(
        {how: columns.agg(how) for how in ("mean", "min", "max")} | {"present": columns.notna().mean()}
    )
    return table.rename_axis("label").reset_index().assign(label=lambda rows: rows["label"].str[7:].astype(int))
