"""Where the numbers of the page come from, and the words that make the comparison fair."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade.costs import STAGES
from brats_cascade.evaluation.paper import PAPER_NOTE
from brats_cascade.record.results import Result, read_json

PHANTOM = "data/raw/phantom"
ATTRIBUTION = (
    "Scans: the BRATS/BraTS challenge (Menze et al., IEEE TMI 34(10), 2015; Bakas et al., Scientific Data 4:170117, 2017); "
    "their licence (CC BY-NC-SA) holds for the pictures. Networks trained on them are not in this repository; the command "
    "above trains them again."
)
SCORES_NOTE = (
    "Scores are on held-out training patients: the challenge's own test truth is not public. Intervals are 95 % bootstrap "
    "intervals of the mean over patients. Three numbers in a cell are complete / core / enhancing. Training is the time of the "
    "training loops with their validation; a cascade's counts that of its CNN 1, but not the few minutes in which CNN 1's "
    "output is computed, once for all cascades that build on it."
)
MERGED = (
    "In this release necrosis and non-enhancing tumour are one label, so our networks learn four classes and the paper's "
    "five; the three regions are the same."
)


def origin_lines(results: Sequence[Result], *, written: str, splits: Mapping[str, Any]) -> list[str]:
    """The head of the page.

    Args:
        results: The experiments, each with its command.
        written: The command that writes the page.
        splits: data/splits.json; may be empty.

    Returns:
        Markdown, one paragraph an entry.
    """
    first = results[0].run
    commits = sorted({str(one.run.get("git_commit", "unknown")) for one in results})
    releases = sorted({str(one.run.get("release", "unknown")) for one in results})
    hashes = ", ".join(f"{path} {md5}" for path, md5 in first.get("data_hashes", {}).items())
    merged = not {1, 3} <= set(first.get("classes", (1, 3)))
    phantom = first.get("params", {}).get("data.source") == PHANTOM
    return [
        f"Written by `{written}` from the results of {_commands(results)}.",
        f"Trained at commit {', '.join(commits)}; release {', '.join(releases)}; data {hashes or 'not hashed'}.",
        *([_sets(splits)] if splits else []),
        *_machines(results),
        SCORES_NOTE,
        PAPER_NOTE,
        *([MERGED] if merged else []),
        *([] if phantom else [ATTRIBUTION]),
    ]


def cost_line(folder: Path, *, names: Sequence[str]) -> list[str]:
    """How long all stages took together, and the most memory that one of them needed.

    Args:
        folder: Of the stages' notes, .work/cost.
        names: The experiments of this run; notes of others are of earlier runs.

    Returns:
        One paragraph; none without notes for every experiment.
    """
    notes = [read_json(path) for path in sorted(folder.glob("*.json"))]
    notes = [note for note in notes if note["stage"] in STAGES and note["argument"] in ("", *names)]
    if {note["argument"] for note in notes if note["stage"] == "train"} != set(names):
        return []
    most = max(note["peak_memory_mb"] for note in notes) / 1000

    def minutes(*arguments: str) -> str:
        return f"{sum(note['seconds'] for note in notes if note['argument'] in arguments) / 60:.1f} min"

    parts = ", ".join(f"{name} {minutes(name)}" for name in names)
    return [
        f"All {len(notes)} stages, from the files as released to the report: {minutes('', *names)}, at most "
        f"{most:.1f} GB of memory. Training and evaluation: {parts}; the stages around them: {minutes('')}."
    ]


def _commands(results: Sequence[Result]) -> str:
    """Every command with what it made; earlier runs' results on the same data are kept beside the page."""
    made: dict[str, list[str]] = {}
    for one in results:
        made.setdefault(one.command, []).append(one.name)
    if len(made) == 1:
        return f"`{results[0].command}`"
    return "; ".join(f"`{command}` ({', '.join(names)})" for command, names in made.items())


def _sets(splits: Mapping[str, Any]) -> str:
    patients = {part: len(names) for part, names in splits.get("patients", splits).items() if isinstance(names, list)}
    counts = ", ".join(f"{patients[part]} for {part}" for part in ("train", "validation", "test"))
    return (
        f"Patients: {counts}; split once by seed {splits.get('seed')}, by patient. The paper trained on 30. Models, "
        "post-processing and everything else were chosen on the validation patients alone."
    )


def _machines(results: Sequence[Result]) -> list[str]:
    """Every machine with what was trained on it."""
    by_machine: dict[str, list[str]] = {}
    for one in results:
        by_machine.setdefault(str(one.run.get("machine", "an unknown machine")), []).append(one.name)
    if len(by_machine) == 1:
        return [f"Trained on {next(iter(by_machine))}."]
    return [f"Trained on {machine}: {', '.join(names)}." for machine, names in by_machine.items()]
