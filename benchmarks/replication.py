"""Writes docs/replication.md: the claims of docs/replication.yaml, each checked against results and tests."""

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from brats_cascade.errors import UserError
from brats_cascade.evaluation.summary import ENOUGH, paired_difference, summarise
from brats_cascade.labels import REGIONS
from brats_cascade.report.kept import CROSS_VALIDATION, Record, read_record
from brats_cascade.report.paper import PAPER
from brats_cascade.report.render import markdown_table, paired_text, with_interval
from brats_cascade.report.results import SEED
from brats_cascade.shared import write_text

CLAIMS, PAGE = Path("docs/replication.yaml"), Path("docs/replication.md")
YES, PARTLY, NO, UNDECIDED = "replicated", "partly replicated", "not replicated", "undecided"
CANNOT = "cannot be tested"
WITHIN = 0.05  # tolerance for a published Dice
NO_BREAK = "\N{NO-BREAK SPACE}"  # an interval stays on one line
HEADER = ["claim", "tolerance", "measured", "verdict", "evidence"]


@dataclass(frozen=True)
class Checked:
    """The outcome of one check, a verdict of its own, and the cells that it fills."""

    outcome: str
    tolerance: str
    measured: str
    evidence: str


def main() -> None:
    """Writes the page."""
    write_text(PAGE, page(Path.cwd()))
    print(PAGE)


def page(root: Path) -> str:
    """The page as Markdown, from ROOT/docs/replication.yaml.

    Raises:
        UserError: A file, a row, a key or a test that a claim names is not there; or a check is none of the known kinds.
    """
    ledger = yaml.safe_load((root / CLAIMS).read_text(encoding="utf-8"))
    sections, found = [], []
    for topic in ledger["topics"]:
        rows = [row_of(claim, root=root) for claim in topic["claims"]]
        found += [row[HEADER.index("verdict")] for row in rows]
        sections += [f"## {topic['title']}", "", markdown_table([HEADER, *rows], padding=" "), ""]
    counts = ", ".join(f"{found.count(f'**{each}**')} {each}" for each in (YES, PARTLY, UNDECIDED, NO, CANNOT))
    words = {"number": len(found), "counts": counts, "within": WITHIN, **_protocol(root)}
    return "\n".join([ledger["introduction"].format(**words), *sections])


def verdict(outcomes: list[str]) -> str:
    """The verdict on a claim: that of its checks where all agree, else PARTLY."""
    return outcomes[0] if len(set(outcomes)) == 1 else PARTLY


def _protocol(root: Path) -> dict[str, int]:
    """Numbers of patients and folds of the record that the introduction names."""
    record = _record(root / "docs/results/brats2018.json")
    crossed = next(entry for entry in record.experiments if entry["protocol"] == CROSS_VALIDATION)
    patients = record.cases(crossed)["patient"].nunique()
    return {"patients": patients, "folds": crossed["folds"], "test": record.data["split"]["test"]}


def row_of(claim: Mapping[str, Any], *, root: Path) -> list[str]:
    """The cells of a claim, in the order of HEADER.

    Raises:
        UserError: What the claim names is not there, or it has a key that no claim has.
    """
    if unknown := set(claim) - {"id", "claim", "source", "checks", "cannot", "note"}:
        raise UserError(f"{CLAIMS}: claim {claim['id']}: unknown key {', '.join(sorted(unknown))}")
    said = f'<a id="{claim["id"]}"></a>{claim["claim"].strip()}<br>*{claim["source"]}*'
    if "cannot" in claim:
        return [said, "", "", f"**{CANNOT}**", claim["cannot"].strip()]
    try:
        checks = [_checked(check, root=root) for check in claim["checks"]]
    except UserError as error:
        raise UserError(f"{CLAIMS}: claim {claim['id']}: {error}") from error
    evidence = [*(check.evidence for check in checks), claim.get("note", "")]
    tolerances, measured = [check.tolerance for check in checks], [check.measured for check in checks]
    found = verdict([check.outcome for check in checks])
    numbers = _lines(measured).replace(" ", NO_BREAK)
    return [said, _lines(tolerances), numbers, f"**{found}**", _lines(evidence)]


def _checked(check: Mapping[str, Any], *, root: Path) -> Checked:
    kind = next((kind for kind in KINDS if kind in check), None)
    if kind is None:
        raise UserError(f"expected a check of {', '.join(KINDS)}, found {', '.join(check)}")
    return KINDS[kind](check, root)


def _test(check: Mapping[str, Any], root: Path) -> Checked:
    file, _, name = check["test"].partition("::")
    text = _read(root / file)
    tests = {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    if name not in tests:
        raise UserError(f"{file}: no test {name}")
    if any(word in ast.unparse(mark) for mark in tests[name].decorator_list for word in ("skip", "xfail")):
        raise UserError(f"{file}: {name} may be skipped, so it proves nothing")
    if missing := [part for part in check.get("holds", ()) if part not in text]:
        raise UserError(f"{file}: expected to contain {missing[0]!r}")
    refutes = check.get("refutes", False)
    evidence = f"[{Path(file).name}](../{file}): {name.removeprefix('test_').replace('_', ' ')}"  # words wrap
    found = "the opposite" if refutes else "as claimed"
    return Checked(NO if refutes else YES, "asserted by a test", found, evidence)


def _value(check: Mapping[str, Any], root: Path) -> Checked:
    found, evidence = _number(check["value"], root=root)
    shown = f"{found:g} {check.get('unit', '')}".rstrip()
    if "over" in check:
        below, _ = _number(check["over"], root=root)
        shown = f"{found / below:.1f} ({found:g} over {below:g} {check['value']['key']})"
        found /= below
    return _limited(check, found=found, shown=shown, evidence=evidence)


def _mean(check: Mapping[str, Any], root: Path) -> Checked:
    spec = check["mean"]
    scores = _scores(root, spec, experiment=spec["experiment"])
    found = scores[spec["region"]][spec["score"]]
    shown = f"{spec['region']} {spec['score']} {found:.2f}"
    return _limited(check, found=found, shown=shown, evidence=_source(spec, spec["experiment"]))


def _limited(check: Mapping[str, Any], *, found: float, shown: str, evidence: str) -> Checked:
    """Compares a number with the limits of its check."""
    low, high = check.get("between", (check.get("at_least"), check.get("at_most")))
    if low is None and high is None:
        raise UserError("expected at_least, at_most or between")
    words = f"{low} to {high}" if low and high else f"at least {low}" if high is None else f"at most {high}"
    words += f" {check['unit']}" if "unit" in check else ""
    held = (low is None or found >= low) and (high is None or found <= high)
    return Checked(YES if held else NO, words.replace(" ", NO_BREAK), shown, evidence)


def _dice(check: Mapping[str, Any], root: Path) -> Checked:
    spec = check["dice"]
    scores = _scores(root, spec, experiment=spec["experiment"])
    printed = [row for row in PAPER if (row.architecture, row.phases) == (spec["architecture"], spec["phases"])]
    if not printed:
        raise UserError(f"the paper's tables have no row {spec['architecture']}, {spec['phases']}")
    pairs = list(zip(REGIONS, printed[0].dice, strict=True))
    held = [YES if abs(scores[region]["dice"] - paper) <= WITHIN else NO for region, paper in pairs]
    tolerance = "<br>".join(f"{paper:.2f}{NO_BREAK}±{NO_BREAK}{WITHIN}" for _, paper in pairs)
    measured = _lines([f"{region} {with_interval(scores[region])}" for region in REGIONS])
    return Checked(verdict(held), tolerance, measured, _source(spec, spec["experiment"]))


def _difference(check: Mapping[str, Any], root: Path) -> Checked:
    spec = check["difference"]
    region, score = spec["region"], spec.get("score", "dice")
    tables = [_cases(root, spec, experiment=spec[side]) for side in ("first", "second")]
    tables = [table.assign(**{f"{region}_dice": table[f"{region}_{score}"]}) for table in tables]
    found = paired_difference(*tables, region=region, seed=SEED)
    outcome = YES if found["low"] > 0 else NO if found["high"] < 0 else UNDECIDED
    if found["patients"] < ENOUGH:
        outcome = UNDECIDED  # the bootstrap interval of three patients excludes 0 whenever all three agree
    evidence = _source(spec, f"{spec['first']} minus {spec['second']}")
    named = region if score == "dice" else f"{region} {score}"
    shown = paired_text({key: value for key, value in found.items() if key != "p"})
    return Checked(outcome, "above 0", f"{named} {shown}", evidence)


def _departure(check: Mapping[str, Any], root: Path) -> Checked:
    return Checked(PARTLY, "", "", check["departure"].strip())


KINDS: Mapping[str, Callable[[Mapping[str, Any], Path], Checked]] = {
    "test": _test,
    "value": _value,
    "mean": _mean,
    "dice": _dice,
    "difference": _difference,
    "departure": _departure,
}


def _number(spec: Mapping[str, Any], *, root: Path) -> tuple[float, str]:
    """A number in a JSON file of rows, and a link to the file."""
    record = json.loads(_read(root / spec["file"]))
    rows = record["rows"] if "rows" in record else record["experiments"]
    chosen = [row for row in rows if spec["where"].items() <= row.items()]
    if len(chosen) != 1 or not isinstance(chosen[0].get(spec["key"]), int | float):
        raise UserError(f"{spec['file']}: expected one row {spec['where']} with {spec['key']}, found {len(chosen)}")
    machine = chosen[0].get("machine", record.get("machine"))
    link = f"[{Path(spec['file']).name}]({Path(spec['file']).relative_to('docs').as_posix()})"
    return float(chosen[0][spec["key"]]), f"{link}, {' '.join(map(str, spec['where'].values()))}, {machine}"


def _source(spec: Mapping[str, Any], words: str) -> str:
    name = f"{spec.get('record', 'brats2018')}.csv"
    return f"[{name}](results/{name}), {words}{', split' if spec.get('protocol') == 'split' else ''}"


def _cases(root: Path, spec: Mapping[str, Any], *, experiment: str) -> Any:
    name, protocol = spec.get("record", "brats2018"), spec.get("protocol", CROSS_VALIDATION)
    record = _record(root / f"docs/results/{name}.json")
    wanted = (experiment, protocol)
    facts = [entry for entry in record.experiments if (entry["experiment"], entry["protocol"]) == wanted]
    if not facts:
        raise UserError(f"docs/results/{name}.json: no experiment {experiment} ({protocol})")
    return record.cases(facts[0])


def _scores(root: Path, spec: Mapping[str, Any], *, experiment: str) -> dict[str, Any]:
    return summarise(_cases(root, spec, experiment=experiment), seed=SEED)


@cache
def _record(path: Path) -> Record:
    return read_record(path)


@cache
def _read(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: not found")
    return path.read_text(encoding="utf-8")


def _lines(parts: list[str]) -> str:
    """Cells one below the other; what repeats the line before is said once."""
    kept = [part for i, part in enumerate(parts) if part and part not in parts[:i]]
    return "<br>".join(kept)


if __name__ == "__main__":
    main()
