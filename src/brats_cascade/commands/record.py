"""brats-cascade record: the last results as a page and small pictures under docs/results/, for git and the README."""

import json
from pathlib import Path
from typing import Any

from brats_cascade.errors import UserError
from brats_cascade.evaluation.paper import PAPER, PAPER_NOTE
from brats_cascade.labels import REGIONS

MARKS = ("<!-- results:start -->", "<!-- results:end -->")
ATTRIBUTION = (
    "Scans: the BRATS/BraTS challenge (Menze et al., IEEE TMI 34(10), 2015; Bakas et al., Scientific Data 4:170117, 2017); "
    "their licence (CC BY-NC-SA) holds for the pictures."
)
WIDTH = 900  # of a picture, pixels


def run(name: str, *, root: Path, command: str, readme: bool) -> Path:
    """Writes docs/results/NAME.md and its pictures from what `dvc repro` left.

    Args:
        name: Of the page.
        root: The project's root.
        command: The command that made the results, to be printed.
        readme: Also put the table between README's marks.

    Returns:
        The page.

    Raises:
        UserError: Nothing has been compared yet.
    """
    source = root / "metrics" / "comparison.json"
    if not source.is_file():
        raise UserError(f"{source}: not found; run `dvc repro` first, in the project's root")
    experiments = list(json.loads(source.read_text(encoding="utf-8"))["experiments"])
    folder = root / "docs" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    compared = json.loads(source.read_text(encoding="utf-8"))
    records = {each: _read(root / "models" / each / "run.json") for each in experiments}
    table = _scores_table(compared, records=records)
    best = max(experiments, key=lambda each: compared["experiments"][each]["complete"]["dice"])
    pictures = _pictures(root, experiments=[best], folder=folder, name=name)
    lines = [f"# Results: {name}", "", *_origin(records, command=command), "", *table, ""]
    lines += ["## Every unseen patient", "", *_cases_table(root, experiments=experiments), "", "## Pictures", ""]
    lines += [f"![{path.stem}]({path.name})\n" for path in pictures]
    page = folder / f"{name}.md"
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    if readme:
        median = [path for path in pictures if path.stem.endswith("median")]
        _into_readme(root / "README.md", table=table, page=page.relative_to(root), picture=median)
    return page


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _origin(records: dict[str, dict[str, Any]], *, command: str) -> list[str]:
    first = next(iter(records.values()), {})
    real = first.get("params", {}).get("data.source") != "data/raw/phantom"
    commits = sorted({str(record.get("git_commit", "unknown")) for record in records.values()})
    hashes = ", ".join(f"{path} {md5}" for path, md5 in first.get("data_hashes", {}).items())
    return [
        f"Written by `brats-cascade record` from the results of `{command}`.",
        f"Trained at commit {', '.join(commits)} on {first.get('machine', 'an unknown machine')}; "
        f"release {first.get('release', 'unknown')}; data {hashes or 'not hashed'}.",
        "Scores are on held-out training patients: the challenge's own test truth is not public. Intervals are 95 % bootstrap "
        "intervals of the mean over patients. What the paper calls specificity is the PPV.",
        PAPER_NOTE,
        *([ATTRIBUTION] if real else []),
    ]


def _scores_table(compared: dict[str, Any], *, records: dict[str, dict[str, Any]]) -> list[str]:
    head = [
        "",
        *(f"Dice {region}" for region in REGIONS),
        "PPV",
        "sensitivity",
        "HD95 complete, mm",
        "training",
        "labelled pixels",
    ]
    rows = [head, ["---"] * len(head)]
    for name, entry in compared["experiments"].items():
        record = records[name]
        rows.append(
            [
                name,
                *(_interval(entry[region]) for region in REGIONS),
                " / ".join(f"{entry[region]['ppv']:.2f}" for region in REGIONS),
                " / ".join(f"{entry[region]['sensitivity']:.2f}" for region in REGIONS),
                f"{entry['complete']['hd95']:.1f}",
                f"{record['seconds'] / 60:.1f} min" if "seconds" in record else "",
                f"{record['labelled_pixels'] / 1e6:.1f} M" if "labelled_pixels" in record else "",
            ]
        )
    if "baseline" in compared:
        base = compared["baseline"]["complete"]
        rows.append(
            [
                "best threshold on one modality",
                f"{base['dice']:.3f}",
                "",
                "",
                f"{base['ppv']:.2f}",
                f"{base['sensitivity']:.2f}",
                f"{base['hd95']:.1f}",
                "",
                "",
            ]
        )
    for paper in PAPER:
        shown = [" / ".join(f"{score:.2f}" for score in scores) for scores in (paper.ppv, paper.sensitivity)]
        dice = [f"{score:.2f}" for score in paper.dice]
        rows.append([f"paper: {paper.method}, {paper.phases}", *dice, *shown, "", "", ""])
    return ["| " + " | ".join(row) + " |" for row in rows]


def _interval(scores: dict[str, float]) -> str:
    text = f"{scores['dice']:.3f}"
    return f"{text} [{scores['dice_low']:.2f}, {scores['dice_high']:.2f}]" if "dice_low" in scores else text


def _cases_table(root: Path, *, experiments: list[str]) -> list[str]:
    import pandas as pd

    rows = [
        "| experiment | case | grade | "
        + " | ".join(f"Dice {region}" for region in REGIONS)
        + " | HD95 complete, mm | seconds |"
    ]
    rows.append("|" + " --- |" * (5 + len(REGIONS)))
    for name in experiments:
        for row in pd.read_csv(root / "metrics" / name / "cases.csv").to_dict("records"):
            dice = " | ".join(f"{row[f'{region}_dice']:.3f}" for region in REGIONS)
            rows.append(
                f"| {name} | {row['case']} | {row['grade']} | {dice} | {row['complete_hd95']:.1f} | {row['seconds']:.1f} |"
            )
    return rows


def _pictures(root: Path, *, experiments: list[str], folder: Path, name: str) -> list[Path]:
    """Small copies of the overlays of the best, median and worst case."""
    from PIL import Image

    written = []
    for experiment in experiments:
        for rank in ("best", "median", "worst"):
            source = root / "reports" / "figures" / experiment / f"{rank}_overlay.png"
            if source.is_file():
                picture = Image.open(source).convert("RGB")
                picture.thumbnail((WIDTH, WIDTH))
                target = folder / f"{name}_{experiment}_{rank}.jpg"
                picture.save(target, quality=85)
                written.append(target)
    return written


def _into_readme(readme: Path, *, table: list[str], page: Path, picture: list[Path]) -> None:
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    if not after:
        raise UserError(f"{readme}: expected the marks {MARKS[0]} and {MARKS[1]}")
    shown = []
    if picture:
        link = f"{page.parent.as_posix()}/{picture[0].name}"
        shown = [f"![the median unseen patient: truth above, prediction below]({link})", ""]
    where = f"Unseen patients; how this was made and every patient: [{page.as_posix()}]({page.as_posix()})."
    body = ["", *table, "", f"{where} {PAPER_NOTE}", "", *shown]
    readme.write_text(before + MARKS[0] + "\n".join(body) + MARKS[1] + after, encoding="utf-8")
