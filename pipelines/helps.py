"""Measures what helps, on the validation patients alone: python pipelines/helps.py. Flips at test time; an ensemble.

Not a DVC stage: it takes three times as long as segmenting the validation patients with every trained experiment. It writes
reports/helps/plain.json, or n4.json where ingest.n4 is true: with both there `brats-cascade record` also says what N4
changes. No post-processing: that has its own with and without in metrics/E/summary.json.
"""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from _stage import run

from brats_cascade.backend import start_backend
from brats_cascade.config import Params
from brats_cascade.errors import UserError

VOLUMES, SPLITS, MODELS, REPORT = Path("data/volumes"), Path("data/splits.json"), Path("models"), Path("reports/helps")


def main(params: Params) -> None:
    """Segments every validation case with every trained experiment, plain and mirrored, and averages the architectures."""
    start_backend()
    from brats_cascade.data.store import open_case
    from brats_cascade.inference.segment import Member, check_members, label_probabilities
    from brats_cascade.models.fold import load_for_inference

    trained = [name for name in params.experiments if (MODELS / name / "model.json").is_file()]
    if not trained:
        raise UserError(f"{MODELS}: no trained experiment; run `dvc repro` first")
    options, names = params.evaluate, json.loads(SPLITS.read_text(encoding="utf-8"))["validation"]
    members = {name: Member(*load_for_inference(MODELS / name, precision=options.precision)) for name in trained}
    check_members(list(members.values()))
    together = best_of_each(params, names=trained)
    counts: dict[str, list[Any]] = {}
    for case in (open_case(VOLUMES / name) for name in names):
        total = np.zeros((), np.float32)
        for name, member in members.items():
            for flips in (False, True):
                found = label_probabilities(
                    [member], image=case.image, brain=np.asarray(case.brain), slices=options.slices, flips=flips
                )
                counts.setdefault(f"{name}, flips" if flips else name, []).append(_count(case, found))
                if name in together and not flips:
                    total = total + found
        counts.setdefault("together", []).append(_count(case, total))
    dice = {what: _mean_dice(tallies) for what, tallies in counts.items()}
    rows: list[dict[str, Any]] = [
        {"what": "flips at test time", "of": name, "without": dice[name], "with": dice[f"{name}, flips"]}
        for name in trained
    ]
    if len(together) > 1:
        best = max(together, key=lambda name: dice[name])
        of = f"{' + '.join(together)}, against {best}"
        rows.append({"what": "ensemble", "of": of, "without": dice[best], "with": dice["together"]})
    n4 = params.ingest.n4
    record = {"n4": n4, "cases": len(names), "bare": {name: dice[name] for name in trained}, "rows": rows}
    path = REPORT / ("n4.json" if n4 else "plain.json")
    REPORT.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        logging.info("%s, %s: %.3f without, %.3f with", row["what"], row["of"], row["without"], row["with"])


def best_of_each(params: Params, *, names: list[str]) -> list[str]:
    """The best experiment of each of the paper's architectures by validation score, as evaluation found it."""
    from brats_cascade.models.cascade import PAPERS

    found = {}
    for architecture in PAPERS:
        paths = {name: Path(f"metrics/{name}/summary.json") for name in names}
        known = {
            name: json.loads(path.read_text(encoding="utf-8"))["validation"]["dice"]
            for name, path in paths.items()
            if params.experiments[name].architecture == architecture and path.is_file()
        }
        if known:
            found[architecture] = max(known, key=lambda name: known[name])
    return list(found.values())


def _count(case: Any, probabilities: np.ndarray) -> Any:
    from brats_cascade.evaluation.cleaning import tally
    from brats_cascade.inference.segment import most_probable

    return tally(
        most_probable(probabilities), truth=np.asarray(case.labels), brain=np.asarray(case.brain),
        spacing=case.meta["spacing"],
    )  # fmt: skip


def _mean_dice(tallies: list[Any]) -> float:
    """Over regions and cases, without post-processing."""
    from brats_cascade.evaluation.cleaning import choose_rule, mean_of
    from brats_cascade.inference.postprocess import OFF

    return mean_of(choose_rule(tallies, rules=[OFF]).scores)


if __name__ == "__main__":
    run(main)
