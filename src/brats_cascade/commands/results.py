"""brats-cascade results: shows the last comparison as a table, or the costs of the stages."""

from pathlib import Path
from typing import Any

from brats_cascade.costs import STAGES
from brats_cascade.errors import UserError
from brats_cascade.labels import REGIONS
from brats_cascade.project import Project, read_json, read_json_if_there, read_state
from brats_cascade.report.text import results_text, text_table


def run(root: Path, *, costs: bool = False) -> str:
    """The table of reports/comparison.json with hints for further steps; with `costs`, time and memory of the stages."""
    if costs:
        return _costs(Project(root).costs)
    path = Project(root).reports / "comparison.json"
    if not path.is_file():
        raise UserError(f"{path}: not found; run `make repro` (or `dvc repro`) first, in the project's root")
    from brats_cascade.stages.champion import is_behind, tell_mlflow

    compared = read_json(path)
    names = list(compared["experiments"])
    if is_behind(Project(root), names=names):  # log what an earlier stage could not log to MLflow
        tell_mlflow(Project(root), names=names)
    text = results_text(compared, champion=_champion(root, compared=compared))
    changed = [name for name, scores in compared["experiments"].items() if _has_changed(root, name, scores=scores)]
    if changed:
        text += f"\nevaluated after this table was made: {', '.join(changed)}; run `dvc repro compare` to update it"
    return text


def _has_changed(root: Path, name: str, *, scores: dict[str, Any]) -> bool:
    """Whether the experiment's Dice in metrics/ differs from that in the comparison, in any region."""
    found = read_json_if_there(Project(root).metrics / f"{name}.json") or {}
    shown = {f"dice_{region}": scores[region]["dice"] for region in REGIONS}
    return any(found.get(key, dice) != dice for key, dice in shown.items())


def _champion(root: Path, *, compared: dict[str, Any]) -> str:
    """The champion of all finished runs on this data and split, by the registry's rule, and the challenger if there is one."""
    from brats_cascade.tracking.champion import Candidate, candidates_here, contest, cure
    from brats_cascade.tracking.registry import alias_run

    names = list(compared["experiments"])
    outcome = contest(root, experiments=names)
    found = outcome.champion
    if found is None:
        return ""
    here = Candidate(found.experiment, found.dice) in candidates_here(root, experiments=names)
    made = f" of the DVC experiment {found.dvc_experiment}" if found.dvc_experiment else ""
    where = "" if here else ", which is not the one in this folder"
    alias = "in no MLflow run"
    if found.run_id:
        registered = alias_run(root) == found.run_id
        alias = "models:/brats-cascade@champion" if registered else f"not registered: {cure(found)}"
    what = f"{found.experiment}{made}, {found.dice:.3f} ({alias}){where}"
    lines = [f"champion, best on validation of all finished runs on this data and split: {what}"]
    if refused := outcome.challenger:
        better = f"{refused.experiment}, {refused.dice:.3f} on average but {outcome.reason}"
        lines.append(f"challenger, not champion: {better} (models:/brats-cascade@challenger)")
    return "\n".join(lines)


def _costs(folder: Path) -> str:
    """Time and memory of the last run of every stage on this machine, in the pipeline's order, from the notes of `noted`."""
    found = [read_state(path) for path in sorted(folder.glob("*.json"))]
    notes = [note for note in found if note and note["stage"] in STAGES]
    if not notes:
        raise UserError(f"{folder}: no stage has run in this folder; run `make repro` (or `dvc repro`) first")
    notes.sort(key=lambda note: (STAGES.index(note["stage"]), note["when"]))
    rows = [
        [
            f"{note['stage']} {note['argument']}".strip(),
            f"{note['seconds']:.1f}",
            f"{note['peak_memory_mb'] / 1000:.2f}",
            note["when"],
        ]
        for note in notes
    ]
    table = text_table(["stage", "seconds", "memory, GB", "finished"], rows=rows)
    return f"{table}\nWall time and peak memory of the last run of each stage on this machine (main process only)."
