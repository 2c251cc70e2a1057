"""What the stages and a cross-validation leave, as the record reads it; the Dice of every case is in CASES."""

import json
from pathlib import Path

import pandas as pd
from PIL import Image

from brats_cascade.commands.record import run
from brats_cascade.costs import keep_costs, scores_of

REGIONS = ("complete", "core", "enhancing")
CASES = {"A": ("high", 0.9), "B": ("high", 0.6), "C": ("low", 0.3)}


def scores(dice: float) -> dict[str, float]:
    return {"dice": dice, "dice_low": 0.1, "dice_high": 0.95, "ppv": 0.7, "sensitivity": 0.6, "hd95": 12.3}


def write_experiment(
    root: Path, name: str, *, architecture: str, validation: float, offset: float = 0.0, builds_on: str = "data/patches"
) -> None:
    """What train and evaluate leave; the Dice of every case is that of CASES plus the offset."""
    rule = {"min_component": 50, "skull_distance": 0, "flatness": 0, "skull_volume": 0}
    high = {**scores(0.75 + offset), "ppv": 0.5}
    files = {
        f"models/{name}/record.json": {
            "git_commit": "abc", "machine": "a computer", "release": "brats2017", "seconds": 90, "labelled_pixels": 2.5e6,
            "architecture": architecture, "builds_on": builds_on, "classes": [0, 1, 2, 4],
            "params": {"data.source": "scans", "train.phase2_steps": 0 if name == "short" else 9},
            "data_hashes": {"data/volumes": "123"},
        },
        f"models/{name}/model.json": {"n4": False},
        f"metrics/{name}/summary.json": {
            **{region: scores(0.6 + offset) for region in REGIONS}, "enhancing_high_grade": high, "patients": 3,
            "validation": {"dice": validation, "dice_without": validation - 0.05, "cases": 1}, "postprocess": rule,
        },
    }  # fmt: skip
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content))
    rows = [
        {"case": case, "patient": case, "grade": grade}
        | {f"{region}_dice": dice + offset for region in REGIONS}
        | {f"{region}_ppv": 0.9 for region in REGIONS}
        | {f"{region}_sensitivity": dice for region in REGIONS}
        | {f"{region}_{size}": 20.0 for region in REGIONS for size in ("truth_cm3", "hd95")}
        for case, (grade, dice) in CASES.items()
    ]
    rows[2]["enhancing_truth_cm3"] = 0.4
    pd.DataFrame(rows).to_csv(root / f"metrics/{name}/cases.csv", index=False)
    seconds = dict.fromkeys(CASES, 3.5)
    keep_costs(root, name=name, what="evaluation", result=scores_of(root, name=name), costs={"seconds": seconds})
    nine = {"case": "A", "slice": range(40, 49), "complete_f1": 0.812, "earlier_work_pixel_agreement": 0.987}
    pd.DataFrame(nine).to_csv(root / f"metrics/{name}/nine_slices.csv", index=False)
    for rank in ("best", "median", "worst"):
        path = root / f"reports/figures/{name}/{rank}_overlay.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1800, 900)).save(path)


def with_data(root: Path, name: str, *, md5: str) -> None:
    path = root / f"models/{name}/record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data_hashes": {"data/volumes": md5}}))


def with_specificity(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases with the one column of a real table that those of an experiment here lack."""
    return cases.assign(**{f"{region}_specificity": 0.99 for region in REGIONS})


def write_crossval(project: Path, folder: str, *, cases_of: str, **summary: object) -> Path:
    """What `pipelines/crossval.py` leaves, with the cases of an experiment."""
    place = project / "reports/crossval" / folder
    place.mkdir(parents=True)
    cases = pd.read_csv(project / f"metrics/{cases_of}/cases.csv").assign(seconds=3.5)
    cases.assign(fold=[number % 2 for number in range(len(cases))]).to_csv(place / "cases.csv", index=False)
    fold = {"train": 2, "machine": "a computer", "labelled_pixels": 3e6, "validation": 1, "validation_dice": 0.7}
    record = {
        "experiment": "one", "architecture": "two_path", "git_commit": "abc", "data_hashes": {"data/volumes": "123"},
        "folds": [{**fold, "fold": 0, "seconds": 60}, {**fold, "fold": 1, "seconds": 90}],
        "scores": {**{region: scores(0.456) for region in REGIONS}, "enhancing_high_grade": scores(0.567)},
    }  # fmt: skip
    (place / "summary.json").write_text(json.dumps({**record, **summary}))
    return place


def page_of(project: Path, **changes) -> str:
    return run("real", root=project, command="dvc repro", **{"readme": False, **changes}).read_text()
