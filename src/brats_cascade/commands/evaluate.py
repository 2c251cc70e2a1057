"""brats-cascade evaluate: anybody's segmentations against a truth."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from brats_cascade.data.images import canonical_spacing, read_image, to_canonical
from brats_cascade.errors import UserError
from brats_cascade.evaluation.pairing import Labelled, find_labels, match
from brats_cascade.evaluation.regions import score_case
from brats_cascade.evaluation.summary import summarise
from brats_cascade.labels import REGIONS, SCHEMES, recode

SEED = 1  # of the bootstrap


def run(
    truth: Path, *, prediction: Path, out: Path, scheme: str = "auto", prediction_scheme: str = "auto"
) -> tuple[str, int]:
    """Scores every prediction that has a truth.

    Args:
        truth: As in `find_labels`.
        prediction: Likewise.
        out: .json or .csv.
        scheme: Key of labels.SCHEMES, or "auto": that of the release, else told by the numbers that occur.
        prediction_scheme: Likewise; "auto" is that of the truth.

    Returns:
        A table as text, and the number of predictions that could not be scored. Truths without a prediction are
        named, but are no failure: a truth folder may hold more.

    Raises:
        UserError: Nothing to score, an ambiguous scheme, or `out` cannot be written.
    """
    if out.suffix not in (".json", ".csv"):
        raise UserError(f"--out {out}: expected a name ending in .json or .csv, received {out.suffix or 'none'}")
    for option, name in (("--scheme", scheme), ("--prediction-scheme", prediction_scheme)):
        if name != "auto" and name not in SCHEMES:
            raise UserError(f"{option}: expected auto or one of {', '.join(SCHEMES)}, received {name!r}")
    truths, predictions = find_labels(truth), find_labels(prediction)
    if truth.is_file() and prediction.is_file():
        [one], [other] = truths.values(), predictions.values()
        predictions = {one.case: replace(other, case=one.case)}
    names, reasons = match(truths, predictions)
    guessed = _scheme_of([truths[name] for name in names], given=scheme) if names else {}
    rows: list[dict[str, Any]] = []
    for name in tqdm(names, desc="evaluate", unit="case", disable=None):
        theirs = guessed[name] if prediction_scheme == "auto" else prediction_scheme
        try:
            rows.append(_score(truths[name], predictions[name], schemes=(guessed[name], theirs)))
        except UserError as error:
            message = str(error)
            reasons[name] = message if message.startswith(name) else f"{name}: {message}"
    for reason in _brief(reasons, predicted=set(predictions)):
        print(f"not scored: {reason}", file=sys.stderr)
    if not rows:
        raise UserError(f"{prediction}: none of {len(predictions)} predictions could be scored against {truth}")
    table = pd.DataFrame(rows)
    _write(out, table=table, reasons=reasons)
    return _text(table, out=out), sum(name in predictions for name in reasons)


def _scheme_of(truths: Sequence[Labelled], *, given: str) -> dict[str, str]:
    """The scheme of every truth; those of an unknown release are judged together, by the numbers that occur."""
    if given != "auto":
        return {one.case: given for one in truths}
    known = {one.case: one.scheme for one in truths if one.scheme is not None}
    unknown = [one for one in truths if one.scheme is None]
    numbers: set[int] = set()
    for one in unknown:
        numbers |= {int(value) for value in np.unique(read_image(one.path).array)}
    if unknown and not {3, 4} & numbers and numbers <= {0, 1, 2}:
        raise UserError(f"--scheme: labels {sorted(numbers)} fit several schemes; name one of {', '.join(SCHEMES)}")
    if {3, 4} <= numbers:
        found = "five"
    elif 4 in numbers:
        found = "merged"
    elif unknown:
        raise UserError(
            f"--scheme: labels {sorted(numbers)} fit merged-2023 (3 is enhancing), decathlon (1 is edema) and five; name one"
        )
    return {**{case: str(scheme) for case, scheme in known.items()}, **{one.case: found for one in unknown}}


def _score(truth: Labelled, prediction: Labelled, *, schemes: tuple[str, str]) -> dict[str, Any]:
    """One row: both files in the canonical frame, checked to lie on one grid."""
    (true, spacing, origin), (found, other, place) = (
        _read(one.path, scheme=scheme) for one, scheme in zip((truth, prediction), schemes, strict=True)
    )
    if true.shape != found.shape:
        raise UserError(
            f"{prediction.path}: expected the truth's shape {true.shape} (slices, rows, columns), received {found.shape}; "
            "bring the segmentation onto the case's own grid"
        )
    if not np.allclose(spacing, other, rtol=0.01):
        raise UserError(
            f"{prediction.path}: expected the truth's voxels of {_mm(spacing)} mm, received {_mm(other)}; "
            "bring the segmentation onto the case's own grid"
        )
    apart = float(np.abs(origin - place).max())
    if apart > 0.5 * min(spacing):
        raise UserError(
            f"{prediction.path}: expected the truth's place in space, received one {apart:.3g} mm off; write it with the "
            "header of the case's own files"
        )
    facts = {"case": truth.case, "patient": truth.patient, "grade": truth.grade}
    return {**facts, **score_case(true, found, spacing=spacing)}


def _read(path: Path, *, scheme: str) -> tuple[np.ndarray, tuple[float, float, float], np.ndarray]:
    """Canonical labels (slices, rows, columns), voxel sizes, and the volume's corners in mm."""
    image = read_image(path)
    numbers = np.unique(image.array)
    known = SCHEMES[scheme].to_canonical
    wrong = [value for value in numbers.tolist() if value not in known]
    if wrong:
        raise UserError(
            f"{path}: expected labels {sorted(known)} ({scheme}), received also {wrong[:5]}; give the right scheme or mend "
            "the file"
        )
    labels = recode(to_canonical(image.array, affine=image.affine), table=known)
    ends = np.array([[0, 0, 0, 1], [*(np.array(image.array.shape) - 1), 1]]) @ image.affine.T
    return labels, canonical_spacing(image.affine), np.sort(ends[:, :3], axis=0)


def _write(out: Path, *, table: pd.DataFrame, reasons: dict[str, str]) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".csv":
            table.to_csv(out, index=False)
            return
        content = {"summary": summarise(table, seed=SEED), "cases": table.to_dict("records"), "not_scored": reasons}
        out.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); choose another --out") from None


def _text(table: pd.DataFrame, *, out: Path) -> str:
    scores = ("dice", "ppv", "sensitivity", "hd95")
    lines = [f"{len(table)} cases   Dice complete / core / enhancing   HD95 complete, mm"]
    rows: Iterable[tuple[str, Any]] = [(str(row["case"]), row) for row in table.to_dict("records")]
    summary = summarise(table, seed=SEED)
    mean = {f"{region}_{score}": summary[region][score] for region in REGIONS for score in scores}
    width = max(len(name) for name in [*table["case"].astype(str), "median"])
    middle = {key: summary[key.split("_")[0]][f"{key.split('_')[1]}_median"] for key in mean}
    for name, row in [*rows, ("mean", mean), ("median", middle)]:
        dice = " / ".join(f"{row[f'{region}_dice']:.3f}" for region in REGIONS)
        lines.append(f"{name.ljust(width)}   {dice}   {row['complete_hd95']:.1f}")
    if "dice_low" in summary["complete"]:
        low, high = summary["complete"]["dice_low"], summary["complete"]["dice_high"]
        lines.append(f"95 % interval of the mean complete Dice over patients: {low:.3f} to {high:.3f}")
    return "\n".join([*lines, str(out)])


def _brief(reasons: dict[str, str], *, predicted: set[str], several: int = 3) -> list[str]:
    """The reasons, with many truths that were not predicted in one line."""
    left = sorted(set(reasons) - predicted)
    if len(left) <= several:
        return list(reasons.values())
    named = ", ".join(left[:several])
    summary = f"{len(left)} truths have no prediction: {named} and {len(left) - several} more"
    return [*(reason for name, reason in reasons.items() if name in predicted), summary]


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{size:.3g}" for size in spacing)
