"""The page and README's table in git: they say what their CSV and JSON hold, and no more words than a reader takes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brats_cascade.report.kept import read_record
from brats_cascade.report.results import RANKS, readme_table, results_page, shown_experiments

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/results"


def page_of(name):
    """The page that a kept record gives, and README's table."""
    record = read_record(RESULTS / f"{name}.json")
    names = dict.fromkeys(facts["experiment"] for facts in record.experiments)
    pictures = [path for one in names for rank in RANKS if (path := RESULTS / f"{name}_{one}_{rank}.jpg").is_file()]
    shown = [path.relative_to(ROOT).as_posix() for path in pictures]
    table = readme_table(record, page=f"docs/results/{name}.md", pictures=shown)
    return results_page(record, name=name, pictures=pictures), table


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brats2018", "real"])
def test_the_page_in_git_is_what_the_table_and_the_facts_in_git_give(name):
    page = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
    assert page == page_of(name)[0]
    assert len(page.split()) <= 1500


@pytest.mark.slow
def test_a_record_can_name_the_experiment_that_the_others_are_compared_with():
    record = read_record(RESULTS / "real.json")
    named = replace(record, data=record.data | {"reference": "coarse_long"})
    page = results_page(named, name="real", pictures=[])
    assert "## Compared with coarse_long" in page and "each experiment minus coarse_long, which" in page
    table = page.split("## Compared with coarse_long")[1].split("\n## ")[0]
    pairs = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("|")][2:]
    others = {facts["experiment"] for facts in record.experiments} - {"coarse_long"}
    assert sorted(pairs) == [[name, "coarse_long"] for name in sorted(others)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brats2018", "real"])
def test_readme_has_the_table_that_the_record_gives(name):
    table = page_of(name)[1]
    marks = f"<!-- results-{name}:start -->\n{table}\n<!-- results-{name}:end -->"
    assert marks in (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(table.splitlines()[0].strip("|").split("|")) <= 5


def test_a_record_shows_the_experiments_that_it_names_in_their_order():
    record = read_record(RESULTS / "real.json")
    for named in (["unet_long", "coarse_long"], ["coarse_long", "unet_long"]):
        record.data["shown"] = named
        assert [facts["experiment"] for facts in shown_experiments(record)] == named
    assert "paper:" not in page_of("real")[1] and "paper:" in page_of("brats2018")[1]


def rows_of(page: str) -> dict[tuple[str, str], list[str]]:
    """(experiment, number of patients) -> cells of the table of scores."""
    cells = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("|")]
    return {(row[0], row[2]): row for row in cells if len(row) == 12 and row[2][0].isdigit()}


@pytest.mark.parametrize(("name", "protocol"), [("unet_long_n4", "cross-validation"), ("two_path", "split")])
def test_means_and_intervals_are_those_of_the_table(name, protocol):
    scores = pd.read_csv(RESULTS / "brats2018.csv")
    own = scores[(scores["experiment"] == name) & (scores["protocol"] == protocol)]
    rows = rows_of((RESULTS / "brats2018.md").read_text(encoding="utf-8"))
    row = rows[name, f"{own['patient'].nunique()}, {protocol}"]
    generator = np.random.default_rng(5)
    for column, region in zip((3, 4, 5), ("complete", "core", "enhancing"), strict=True):
        part = own[own["region"] == region]
        mean, low, high = (
            float(number) for number in row[column].replace("[", "").replace("]", "").replace(",", "").split()
        )
        dice = part["dice"].to_numpy()
        drawn = np.sort([generator.choice(dice, len(dice)).mean() for _ in range(4000)])
        assert mean == pytest.approx(np.mean(dice), abs=0.00051)
        assert (low, high) == pytest.approx((drawn[100], drawn[-101]), abs=0.02)
        for cell, score, digits in ((row[6], "ppv", 0.0051), (row[7], "sensitivity", 0.0051), (row[8], "hd95", 0.051)):
            assert float(cell.split("/")[column - 3]) == pytest.approx(part[score].mean(), abs=digits)


def test_every_network_is_compared_with_every_unet_and_times_of_the_paper_alone_are_no_column():
    page = (RESULTS / "real.md").read_text(encoding="utf-8")
    pairs = [
        tuple(line.split("|")[1:3])
        for line in page.split("## Compared")[1].splitlines()
        if line.startswith("|") and " p " in line
    ]
    kinds = {facts["experiment"]: facts["architecture"] for facts in read_record(RESULTS / "real.json").experiments}
    unets = {name for name, kind in kinds.items() if kind == "unet"}
    assert len(unets) > 1 and set(pairs) == {(one, unet) for one in set(kinds) - unets for unet in unets}
    assert "|per case|" in page
    record = read_record(RESULTS / "real.json")
    for facts in record.experiments:
        facts["seconds_per_case"] = None
    assert "|per case|" not in results_page(record, name="real", pictures=[])


def test_the_lesion_wise_dice_is_the_mean_of_the_table_and_no_column_where_it_was_not_measured():
    scores = pd.read_csv(RESULTS / "real.csv")
    own = scores[scores["experiment"] == "unet_long"]
    page = (RESULTS / "real.md").read_text(encoding="utf-8")
    (cells,) = (line.split("|") for line in page.splitlines() if line.startswith("|unet_long|plain"))
    found = [float(part) for part in cells[10].split("/")]
    means = [own.loc[own["region"] == region, "lesion_dice"].mean() for region in ("complete", "core", "enhancing")]
    assert found == pytest.approx(means, abs=0.0051)
    assert "lesion-wise" not in (RESULTS / "brats2018.md").read_text(encoding="utf-8")
