"""What training left in a folder models/E, logged to its run; and the note that says which run that is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brats_cascade.costs import read_facts, weights_of
from brats_cascade.project import Project, read_state, read_table
from brats_cascade.provenance import ENVIRONMENT
from brats_cascade.shared import write_json
from brats_cascade.tracking.quiet import quietly
from brats_cascade.tracking.run import Run
from brats_cascade.tracking.store import project_root


def log_training(run: Run, *, folder: Path, in_memory: tuple[Any, Any] | None = None) -> None:
    """Logs class weights, counts and the network of a folder models/E, and notes that the run has them.

    Args:
        run: The training's.
        folder: What training wrote.
        in_memory: The network and its contract, where training has just ended: the run has its curves already. Otherwise
            the run is a new one, in the place of one that is gone, and gets them from the files.
    """
    from brats_cascade.models.files import load_trained

    root, name = folder.parent.parent, folder.name
    facts = read_facts(root, name=name)
    curves = {"cnn1/": "history_cnn1.csv"}
    if in_memory is None:
        run.expect_score()
        curves = {"": "history.csv", **curves}
    for prefix, table in curves.items():
        if (folder / table).is_file():
            run.log_history(read_table(folder / table), prefix=prefix)
    run.log_class_weights(read_table(folder / "class_weights.csv"))
    counts = {key: facts[key] for key in ("seconds", "labelled_pixels", "parameters") if key in facts}
    run.log_scores(counts, prefix="training")
    run.log_tags({"weights": weights_of(root, name=name)})
    network, contract = in_memory or load_trained(folder)
    made_in = {key: facts[key] for key in ("environment",) if key in facts}
    _log_environment(run, made_in)
    run.log_model(network, metadata=contract.as_dict() | made_in, folder=folder)
    run.log_file(folder / "model.json")


@quietly
def _log_environment(run: Run, made_in: Mapping[str, Any]) -> None:
    if made_in:
        run.client.log_text(run.id, json.dumps(made_in["environment"], indent=1) + "\n", ENVIRONMENT)


def keep_note(name: str, *, run_id: str, logged: bool, root: Path | None = None) -> None:
    """Notes the run of the network that lies in models/E: one small file in .work/runs, in neither git nor DVC.

    `run_id` is "" if MLflow could not be reached; where not everything is `logged`, evaluation logs it again.
    """
    write_json(_note(name, root=root), {"run_id": run_id, "logged": logged})


def read_note(name: str, *, root: Path | None = None) -> dict[str, Any]:
    """The note: `run_id` and `logged`; "" and False where there is none, as after `dvc pull` on another machine."""
    return {"run_id": "", "logged": False, **(read_state(_note(name, root=root)) or {})}


def _note(name: str, *, root: Path | None) -> Path:
    """By experiment and network: the points of a DVC queue run in folders of their own, and share these notes."""
    return Project(project_root(root)).work / "runs" / name / f"{weights_of(root or Path(), name=name)}.json"
