"""brats-cascade evaluate: scores segmentations from any tool against their ground truth."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from brats_cascade.commands.against import compare_sets, text_of
from brats_cascade.data.writeback import MISFITS, read_misfits, read_scheme
from brats_cascade.errors import UserError, printable
from brats_cascade.evaluation.lesions import LESION_COUNTS, LESION_DEFINITION
from brats_cascade.evaluation.pairing import pair_labels
from brats_cascade.evaluation.regions import EMPTY_REGIONS
from brats_cascade.evaluation.score_files import MISFITS_SEEN, SAME, notes, schemes_of, score_pair
from brats_cascade.evaluation.summary import summarise
from brats_cascade.labels import REGIONS, SCHEMES
from brats_cascade.report.render import agreement_text, short
from brats_cascade.report.text import text_table
from brats_cascade.shared import open_folder, write_json, write_text

SEED = 1  # seed of the bootstrap


def run(
    truth: Path,
    *,
    prediction: Path,
    out: Path,
    scheme: str = "auto",
    prediction_scheme: str = "auto",
    strict: bool = False,
    against: Sequence[Path] = (),
) -> tuple[str, int]:
    """Scores every prediction that has a ground truth; the parameters are the options of the command.

    Returns:
        A text table, and the number of predictions that could not be scored. Cases without a prediction are listed, but do
        not count.
    """
    if out.suffix not in (".json", ".csv"):
        raise UserError(f"--out {out}: expected a name ending in .json or .csv, got {out.suffix or 'none'}")
    for option, name in (("--scheme", scheme), ("--prediction-scheme", prediction_scheme)):
        if name != "auto" and name not in SCHEMES:
            raise UserError(f"{option}: expected auto or one of {', '.join(SCHEMES)}, got {name!r}")
    _check_sets(prediction, against=against)
    open_folder(out.parent)
    sets = {}
    for folder in (prediction, *against):
        if against:  # so that it is clear whose notes follow
            print(f"{folder}:", file=sys.stderr)
        named = folder != prediction  # one option cannot be right for all sets where their files name their scheme
        schemes = scheme, prediction_scheme
        sets[str(folder)] = _score_set(truth, prediction=folder, schemes=schemes, prefer_named=named, strict=strict)
    scored = sets[str(prediction)]
    compared = compare_sets({name: one.table for name, one in sets.items()}) if against else {}
    _write(out, scored=scored, compared=compared)
    lines = [_text(scored.table, left=len(scored.reasons)), *([text_of(compared)] if compared else []), str(out)]
    return "\n".join(lines), sum(one.failed for one in sets.values())


def _check_sets(prediction: Path, *, against: Sequence[Path]) -> None:
    """Checks, before anything is scored, that the sets to compare with exist and differ."""
    seen = {prediction.resolve()}
    for place in against:
        fault = "is given twice" if place.resolve() in seen else "" if place.exists() else "no such file or folder"
        if fault:
            raise UserError(f"--against {place}: {fault}; give other predictions of the same cases")
        seen.add(place.resolve())


class _Scored(NamedTuple):
    table: pd.DataFrame
    reasons: dict[str, str]
    remarks: list[str]
    failed: int


def _score_set(truth: Path, *, prediction: Path, schemes: tuple[str, str], prefer_named: bool, strict: bool) -> _Scored:
    """Scores one set of predictions, and prints what could not be scored.

    `schemes` are those of ground truth and prediction; with `prefer_named`, the latter is for files that name none.
    """
    pairs = pair_labels(truth, prediction=prediction)
    guessed, broken = schemes_of(pairs.truths.values(), given=schemes[0])
    rows = []
    for name in tqdm(sorted(guessed), desc="evaluate", unit="case", disable=None):
        file = pairs.predictions[name]
        given = "" if schemes[1] == "auto" else schemes[1]
        own = (read_scheme(file.path) or given) if prefer_named or not given else given
        try:
            if strict:
                _refuse_misfit(file.path)
            rows.append(score_pair(pairs.truths[name], file, schemes=(guessed[name], own or guessed[name])))
        except UserError as error:
            message = str(error)
            broken[name] = message if message.startswith(name) else f"{name}: {message}"
    reasons = {printable(name): printable(reason) for name, reason in {**broken, **pairs.reasons}.items()}
    failed = set(map(printable, {*broken, *pairs.failed}))
    for reason in _brief(reasons, failed=failed):
        print(f"not scored: {reason}", file=sys.stderr)
    if not rows:
        raise UserError(f"{prediction}: no prediction could be scored against {truth}")
    remarks = notes(rows)
    for remark in remarks:
        print(f"note: {remark}", file=sys.stderr)
    return _Scored(pd.DataFrame(rows).drop(columns=[SAME, MISFITS_SEEN]), reasons, remarks, len(failed))


def _refuse_misfit(prediction: Path) -> None:
    words = read_misfits(prediction)
    if words:
        raise UserError(
            f"{prediction}: --strict: its model may not fit the case ({'; '.join(MISFITS[word] for word in words)}); "
            "predict it with another model"
        )


def _write(out: Path, *, scored: _Scored, compared: Mapping[str, Any]) -> None:
    table = scored.table
    if out.suffix == ".csv":
        write_text(out, table.to_csv(index=False))
        return
    content = {
        "summary": summarise(table, seed=SEED),
        "cases": table.to_dict("records"),
        "not_scored": scored.reasons,
        "notes": scored.remarks,
        "empty_regions": EMPTY_REGIONS,
        "lesion_definition": LESION_DEFINITION,
        **({"against": compared} if compared else {}),
    }
    write_json(out, json.loads(json.dumps(content), parse_constant=lambda _: None))  # NaN (not available) becomes null


def _text(table: pd.DataFrame, *, left: int) -> str:
    summary = summarise(table, seed=SEED)
    mean, median = (
        {f"{region}_{score}": summary[region][f"{score}{kind}"] for region in REGIONS for score in ("dice", "hd95")}
        for kind in ("", "_median")
    )
    scored: list[tuple[str, Mapping[Any, Any]]] = [(str(row["case"]), row) for row in table.to_dict("records")]
    rows = [
        [name, *(_score(row[f"{region}_dice"]) for region in REGIONS), _score(row["complete_hd95"], decimals=1)]
        for name, row in [*scored, ("mean", mean), ("median", median)]
    ]
    count = f"{len(table)} of {len(table) + left} cases" if left else f"{len(table)} case{'s' * (len(table) > 1)}"
    lines = [text_table([count, *(f"Dice {region}" for region in REGIONS), "HD95 complete, mm"], rows=rows)]
    if "dice_low" in summary["complete"]:
        low, high = summary["complete"]["dice_low"], summary["complete"]["dice_high"]
        lines.append(f"95 % interval of the mean complete Dice over patients: {low:.3f} to {high:.3f}")
    return "\n".join([*lines, "", _lesion_text(summary)])


def _lesion_text(summary: Mapping[str, Any]) -> str:
    """A table with the lesion-wise scores, the surface Dice and the volume agreement per region."""
    rows = []
    for region in REGIONS:
        numbers = {"lesion_dice": math.nan, "lesion_hd95": math.nan, "nsd": math.nan, **summary[region]}
        counts = "/".join(str(numbers.get(name, "-")) for name in LESION_COUNTS)
        scores = (_score(numbers["lesion_dice"]), _score(numbers["lesion_hd95"], decimals=1), _score(numbers["nsd"]))
        rows.append([region, *scores[:2], counts, scores[2], agreement_text(numbers)])
    header = ["mean", "lesion-wise Dice", "HD95, mm", "lesions/missed/false", "surface Dice, 1 mm", "volume, cm3"]
    return text_table(header, rows=rows)


def _score(value: float, *, decimals: int = 3) -> str:
    return short(value, f".{decimals}f") or "-"


def _brief(reasons: Mapping[str, str], *, failed: set[str], several: int = 3) -> list[str]:
    """The reasons, with all cases without a prediction on one line if there are many; the written table has all of them."""
    left = sorted(set(reasons) - failed)
    if len(left) <= several:
        return list(reasons.values())
    named = ", ".join(left[:several])
    summary = f"{len(left)} cases of the ground truth have no prediction: {named} and {len(left) - several} more"
    return [*(reason for name, reason in reasons.items() if name in failed), summary]
