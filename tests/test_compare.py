"""docs/compare.md: its session, run as printed, in a tiny project; UPDATE_DOCS=1 pastes what it prints into the page."""

import csv
import io
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny import LEARNING, ROOT, dvc, finished_project, git, shell

from brats_cascade.params.file import read_tree, write_params

PAGE = ROOT / "docs/compare.md"
BLOCK = re.compile(r"```(bash|console|python|text)\n(.*?)```\n", flags=re.DOTALL)
SHOWN = "/home/me/brats-cascade"  # in place of the test's own folder
CHECKS = 2 * int(LEARNING["checks"])  # of both phases


@dataclass
class Session:
    """The project, the page as written and with what the commands have printed, and the table's row of every experiment."""

    project: Path
    written: str
    printed: str
    rows: dict[str, dict[str, str]]


def _script(page: str, *, folder: Path) -> str:
    """All blocks as one script of bash; what block N prints goes to folder/N, console commands one by one to folder/N.K."""
    lines = ["set -e", "export COLUMNS=128"]
    for number, (kind, text) in enumerate(BLOCK.findall(page)):
        out = folder / str(number)
        if kind == "bash":
            lines.append(f"{{\n{text}}} > {out} 2>&1")
        elif kind == "console":
            commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
            lines += [f"{{ {command}; }} > {out}.{place}" for place, command in enumerate(commands)]
        elif kind == "python":
            out.with_suffix(".py").write_text(text)
            lines.append(f"python {out}.py > {folder / str(number + 1)}.0 2> {out}")
    return "\n".join(lines) + "\n"


def _paste(page: str, *, folder: Path, project: Path) -> str:
    """The page with what every command has printed."""
    numbers = iter(range(len(BLOCK.findall(page))))

    def output(path: Path) -> str:
        lines = [line.rstrip() for line in path.read_text().replace(str(project), SHOWN).splitlines()]
        return "".join(f"{line}\n" for line in lines if line)

    def filled(match: re.Match[str]) -> str:
        number, (kind, text) = next(numbers), match.groups()
        if kind == "console":
            commands = [line for line in text.splitlines() if line.startswith("$ ")]
            text = "".join(f"{line}\n{output(folder / f'{number}.{place}')}" for place, line in enumerate(commands))
        elif kind == "text":
            text = output(folder / f"{number}.0")
        return f"```{kind}\n{text}```\n"

    return BLOCK.sub(filled, page)


def _without_values(page: str) -> str:
    """The page without numbers, hashes and the widths of columns, which other values change."""
    page = re.sub(r"\b[0-9a-f]{7}\b|-?\b\d+(\.\d+)?\b", "0", page)
    return re.sub(r"[ ─━-]+", " ", page)


def _keep_two_path(project: Path) -> None:
    """Leaves nothing of the cascade in a finished project."""
    from mlflow import MlflowClient

    tree = read_tree(project / "params.yaml", editable=True)
    del tree["experiments"]["input_cascade"]
    write_params(project / "params.yaml", tree)
    for folder in ("metrics", "models", "segmentations", "reports/figures"):
        shutil.rmtree(project / folder / "input_cascade")
    git(project, "rm", "-q", "metrics/input_cascade.json", "metrics/costs/input_cascade.json")
    git(project, "commit", "-qam", "two_path alone")
    client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("brats-cascade")
    for run in client.search_runs([experiment.experiment_id], "tags.experiment = 'input_cascade'"):
        client.delete_run(run.info.run_id)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("compare")
    project, outputs = folder / "project", folder / "outputs"
    _keep_two_path(shutil.copytree(finished_project(tmp_path_factory), project, symlinks=True))
    outputs.mkdir()
    written = PAGE.read_text(encoding="utf-8")
    script = _script(written, folder=outputs).replace("/path/to/storage", str(folder / "storage"))
    (folder / "session.sh").write_text(script)
    shell(project, "bash", str(folder / "session.sh"))
    printed = _paste(written, folder=outputs, project=project)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(printed, encoding="utf-8")
    table = dvc(project, "exp", "show", "-n", "3", "--only-changed", "--csv")
    rows = {row["Experiment"]: row for row in csv.DictReader(io.StringIO(table)) if row["Experiment"]}
    assert set(rows) == {"rate-0.001", "rate-0.004"}
    return Session(project, written, printed, rows)


def _scores(session: Session, commit: str) -> dict[str, float]:
    return dict(json.loads(git(session.project, "show", f"{commit}:metrics/two_path.json")))


@pytest.mark.slow
@pytest.mark.long
def test_the_page_shows_what_the_commands_print(session: Session) -> None:
    if not os.environ.get("UPDATE_DOCS"):
        assert _without_values(session.written) == _without_values(session.printed)


@pytest.mark.slow
@pytest.mark.long
def test_the_table_of_experiments_is_short_and_holds_their_scores(session: Session) -> None:
    assert len(next(iter(session.rows.values()))) < 23
    seen = set()
    for name, row in session.rows.items():
        scores = _scores(session, row["rev"])
        shown = {key: float(row[key]) for key in scores if key in row}
        assert shown == {key: pytest.approx(scores[key]) for key in shown} and len(shown) >= 3
        assert f"rate-{float(row['train.learning_rate'])}" == name
        assert float(row["seconds"]) > 0
        seen.add(scores["validation_dice"])
    assert len(seen) == 2  # of two networks


@pytest.mark.slow
@pytest.mark.long
def test_the_plots_hold_the_curves_and_scores_of_every_commit(session: Session) -> None:
    page = (session.project / "dvc_plots/index.html").read_text()
    commits = {name: session.rows[name]["rev"] for name in ("rate-0.001", "rate-0.004")}
    commits["HEAD~1"] = "HEAD~2"  # one more is there since
    assert set(re.findall(r'"rev": "([^"]*)"', page)) == set(commits)
    for commit in commits.values():  # there is one unseen case
        assert f'"complete_dice": "{_scores(session, commit)["dice_complete"]}"' in page
    assert len(set(re.findall(r'"validation_dice": "([^"]*)"', page))) == len(commits) * CHECKS


@pytest.mark.slow
@pytest.mark.long
def test_a_clone_has_every_score_figure_and_network(session: Session) -> None:
    second = session.project.parent / "second"
    for path in (
        *("metrics/two_path.json", "metrics/two_path/cases.csv", "metrics/data.json", "reports/index.html"),
        "models/two_path/model.keras",
    ):
        assert (second / path).read_bytes() == (session.project / path).read_bytes(), path
    assert git(second, "status", "--porcelain") == ""


def test_the_commands_for_a_second_machine_are_those_of_the_session() -> None:
    """But for the places, which docs/distributed.md leaves to its reader."""
    page = (ROOT / "docs/distributed.md").read_text(encoding="utf-8").split("## A second machine")[1]
    theirs = "".join(re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)[:2])
    section = PAGE.read_text(encoding="utf-8").split("## On another machine")[1].split("\n## ")[0]
    ours = "".join(text.replace("$ ", "") for _, text in BLOCK.findall(section))
    verbs = [
        [line.split()[:2] for line in text.splitlines() if line.startswith(("dvc ", "git "))] for text in (theirs, ours)
    ]
    assert verbs[0] == verbs[1] and len(verbs[0]) == 6


@pytest.mark.slow
@pytest.mark.long
def test_going_back_brings_back_the_scores_of_that_commit(session: Session) -> None:
    git(session.project, "checkout", "-q", "HEAD~2")
    dvc(session.project, "checkout", "-q")
    short = json.loads((session.project / "metrics/two_path.json").read_text())
    summary = json.loads((session.project / "metrics/two_path/summary.json").read_text())
    assert (short["dice_complete"], short["validation_dice"]) == (
        summary["complete"]["dice"],
        summary["validation"]["dice"],
    )
    assert short != _scores(session, session.rows["rate-0.004"]["rev"])
    assert "Running stage" not in dvc(session.project, "repro")
