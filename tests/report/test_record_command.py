"""brats-cascade record: a run is added to the results in git, its experiments replaced, other data refused."""

import json

import pandas as pd
import pytest
from PIL import Image

from brats_cascade.commands.record import run
from brats_cascade.costs import keep_costs, weights_of
from brats_cascade.errors import UserError
from brats_cascade.labels import REGIONS
from brats_cascade.report.kept import read_record
from brats_cascade.report.render import put_between


def recorded(project, **options):
    page = run("mine", root=project, command="dvc repro", **{"readme": False, **options})
    return read_record(page.with_suffix(".json")), page.read_text()


def facts_of(record, name, protocol="split"):
    return next(one for one in record.experiments if (one["experiment"], one["protocol"]) == (name, protocol))


@pytest.mark.slow
def test_a_run_becomes_a_table_facts_and_a_page(project):
    record, page = recorded(project)
    assert len(record.scores) == 4 * 3 * 3
    cascade = facts_of(record, "two")
    assert (cascade["training_seconds"], cascade["labelled_pixels"]) == (180, 5_000_000)  # with those of its CNN 1
    assert (cascade["seconds_per_case"], cascade["commit"], cascade["command"]) == (3.5, "abc", "dvc repro")
    assert record.data["split"] == {"train": 2, "validation": 1, "test": 3}
    row = "|two|InputCascadeCNN|3|" + "|".join(["0.550 [0.25, 0.85]"] * 3)
    assert "|literature, the paper's test set|Pereira et al. 2016, 2-D patch CNN|10|0.88|0.83|0.77|" in page
    assert f"{row}|0.90/0.90/0.90|0.60/0.60/0.60|12.5/12.5/12.5|3.0 min|3.5 s|2 cores|" in page
    pd.testing.assert_series_equal(record.cases(cascade)["core_dice"], pd.Series([0.85, 0.55, 0.25], name="core_dice"))


@pytest.mark.slow
def test_a_later_run_replaces_its_experiments_and_leaves_the_others(project):
    recorded(project)
    path = project / "reports/comparison.json"
    compared = json.loads(path.read_text())["experiments"]
    path.write_text(json.dumps({"experiments": {"one": compared["one"]}}))
    table = pd.read_csv(project / "metrics/one/cases.csv").assign(complete_dice=0.5)
    table.to_csv(project / "metrics/one/cases.csv", index=False)
    record, page = recorded(project)
    assert [one["experiment"] for one in record.experiments] == ["two", "short", "plain", "one"]
    assert record.cases(facts_of(record, "one"))["complete_dice"].tolist() == [0.5] * 3
    assert len(record.scores) == 4 * 3 * 3
    for path in ("models", "metrics", "reports"):
        (project / path).rename(project / f"no_{path}")
    assert recorded(project, kept=True)[1] == page


@pytest.mark.slow
def test_another_test_set_or_other_scans_are_refused(project):
    recorded(project)
    path = project / "docs/results/mine.json"
    facts = json.loads(path.read_text())
    table = pd.read_csv(project / "metrics/one/cases.csv").replace({"case": {"A": "Z"}})
    kept = (project / "metrics/one/cases.csv").read_text()
    table.to_csv(project / "metrics/one/cases.csv", index=False)
    with pytest.raises(UserError, match="test set"):
        recorded(project)
    (project / "metrics/one/cases.csv").write_text(kept)
    cases = {"case": ["A"], "patient": ["A"], "voxels_hash": ["0"]}
    pd.DataFrame(cases).to_parquet(project / "data/cases.parquet")
    path.write_text(json.dumps(facts | {"data": facts["data"] | {"scans": "other"}}))
    with pytest.raises(UserError, match="other"):
        recorded(project)


def test_one_fold_is_not_recorded_as_the_split(project):
    path = project / "models/two/record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fold": "3 of 7"}))
    with pytest.raises(UserError, match=r"two: .*fold 3 of 7"):
        recorded(project)
    assert not (project / "docs/results").exists()


def test_nothing_to_record_is_one_line(tmp_path):
    for kept, what in ((False, "dvc repro"), (True, "no stored results")):
        with pytest.raises(UserError, match=what):
            run("mine", root=tmp_path, command="", readme=False, kept=kept)


@pytest.mark.parametrize("name", ["", "../README", "a/b", "a|b"])
def test_a_record_is_a_page_of_docs_results(tmp_path, name):
    with pytest.raises(UserError, match="expected the name of a page"):
        run(name, root=tmp_path, command="", readme=False)


@pytest.mark.slow
def test_all_folds_of_a_repeat_are_a_cross_validation_and_go_first_in_readme(project):
    folds = [
        pd.read_csv(project / f"metrics/{name}/cases.csv").assign(experiment=name, folds=3, fold=range(3), seed=1)
        for name in ("one", "two")
    ]
    folds[1] = folds[1].iloc[:2]  # a fold is missing
    pd.concat(folds).to_csv(project / "reports/repeat.csv", index=False)
    record, page = recorded(project, readme=True)
    known = [(one["experiment"], one["protocol"]) for one in record.experiments]
    assert ("one", "cross-validation") in known and ("two", "cross-validation") not in known
    assert facts_of(record, "one", "cross-validation")["folds"] == 3
    assert "3 folds" in page
    readme = (project / "README.md").read_text()
    assert [line.split(" |")[0] for line in readme.splitlines() if line.startswith("| ")][2:5] == [
        "| TwoPathCNN", "| InputCascadeCNN", "| plain 2-D U-Net",
    ]  # fmt: skip


@pytest.mark.slow
def test_folds_alone_are_a_record_with_their_mean_costs(project):
    for name in ("one", "two"):
        path = project / f"models/{name}/record.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"fold": "2 of 3"}))
    (project / "reports/comparison.json").unlink()
    spent = {"training_seconds": [60, 120, 240], "machine": ["a", "b", "b"], "seconds": [1, 2, 6]}
    rows = pd.read_csv(project / "metrics/one/cases.csv").assign(
        experiment="one", folds=3, fold=range(3), seed=1, **spent
    )
    rows.to_csv(project / "reports/repeat.csv", index=False)
    record, page = recorded(project)
    (facts,) = record.experiments
    assert (facts["experiment"], facts["protocol"], facts["folds"]) == ("one", "cross-validation", 3)
    assert (facts["training_seconds"], facts["machine"], facts["seconds_per_case"]) == (140, "b", 3)
    assert "|2.3 min|3.0 s|" in page and "pilots" not in page
    path = project / "docs/results/mine.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"data": kept["data"] | {"pilots": ["A"], "remarks": ["One seed."]}}))
    others = rows.loc[rows["case"] != "A", "complete_dice"].mean()
    for fresh in (False, True):  # a later run keeps them
        page = recorded(project, kept=not fresh)[1]
        assert f"|one|2|{others:.3f}" in page and "\n- One seed.\n" in page
    ratio = (rows["complete_sensitivity"] / rows["complete_ppv"]).median()  # TP / true over TP / predicted
    assert f"the median predicted volume is {ratio:.2f} times the true one" in page


@pytest.mark.slow
def test_the_readme_has_a_row_per_network_and_the_best_networks_median_case(project):
    recorded(project, readme=True)
    readme = (project / "README.md").read_text()
    assert readme.startswith("before\n") and readme.endswith("\nafter\n") and "old" not in readme
    cells = "0.550 [0.25, 0.85] | 0.550 [0.25, 0.85]"
    assert f"| InputCascadeCNN | {cells}" in readme  # of `two`, best on validation; `short` is better on the test set
    assert "docs/results/mine_two_median.jpg" in readme and "(complete Dice 0.55)" in readme
    with Image.open(project / "docs/results/mine_two_median.jpg") as picture:
        assert picture.size == (900, 450)
    assert not (project / "docs/results/mine_short_median.jpg").exists()


@pytest.mark.slow
def test_the_lesion_wise_dice_is_shown_where_all_scored_cases_have_it(project):
    for name, known in {"one": [0.2, 0.3, 0.4], "two": [0.2, None, 0.4], "short": [0.2, 0.3, 0.4]}.items():
        path = project / f"metrics/{name}/cases.csv"
        table = pd.read_csv(path).assign(**{f"{region}_lesion_dice": known for region in REGIONS})
        if name == "short":  # of a release without this region
            table[[column for column in table if column.startswith("enhancing_")]] = None
        table.to_csv(path, index=False)
    page = recorded(project)[1]
    cells = {line.split("|")[1]: line.split("|") for line in page.splitlines() if line.startswith("|")}
    column = cells["experiment"].index("lesion-wise Dice")
    assert {name: cells[name][column] for name in ("one", "two", "short", "plain")} == {
        **{"one": "0.30/0.30/0.30", "two": "", "short": "0.30/0.30/nan", "plain": ""},
    }
    assert len({len(row) for row in cells.values() if len(row) > 8}) == 1
    path = project / "docs/results/mine.csv"  # as records were before
    pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="lesion_dice").to_csv(path, index=False)
    assert "lesion" not in recorded(project, kept=True)[1]


@pytest.mark.slow
def test_the_readme_has_a_time_without_its_machine(project):
    for name in ("one", "plain"):
        costs = {"seconds": 90.0, "git_commit": "abc"}
        keep_costs(project, name=name, what="training", result=weights_of(project, name=name), costs=costs)
    recorded(project, readme=True)
    times = [line.split(" | ")[-1] for line in (project / "README.md").read_text().splitlines() if "2-D U-Net" in line]
    assert times == ["3.5 s |"]


@pytest.mark.parametrize("text", ["none", "<!-- results:start -->", "<!-- results:end --> <!-- results:start -->"])
def test_a_readme_without_its_marks_is_left_as_it_is(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(UserError, match="results:start"):
        put_between(tmp_path / "README.md", part="results", text="new")
    assert (tmp_path / "README.md").read_text() == text


@pytest.mark.slow
def test_a_page_of_own_scans_does_not_call_them_the_challenges_and_a_missed_region_has_no_volume(project):
    _, page = recorded(project)
    assert "Scans: BRATS/BraTS challenge" in page and "challenge's test labels" in page
    path = project / "docs/results/mine.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"data": kept["data"] | {"release": "list"}}))
    table = pd.read_csv(path.with_suffix(".csv"))
    table.loc[table["region"] == "enhancing", "ppv"] = 0.0
    table.to_csv(path.with_suffix(".csv"), index=False)
    page = recorded(project, kept=True)[1]
    assert (
        "Scans: BRATS" not in page and "challenge's test labels" not in page and "CC BY" not in page.replace("\n", " ")
    )
    assert "nan" not in page and page.count("times the true one") == 2


def test_a_project_without_a_readme_gets_one_line(tmp_path):
    with pytest.raises(UserError, match=r"README.md: expected the marks"):
        put_between(tmp_path / "README.md", part="results", text="new")


@pytest.mark.parametrize(("facts", "table"), [("{", "case"), ('{"a": 1}', "case"), ("{}", ""), ("{}", None)])
def test_a_damaged_record_is_one_line_that_does_not_ask_to_delete_it(tmp_path, facts, table):
    (tmp_path / "mine.json").write_text(facts)
    if table is not None:
        (tmp_path / "mine.csv").write_text(table)
    with pytest.raises(UserError, match=r"mine.json: it and mine.csv are not a readable record .* restore both"):
        read_record(tmp_path / "mine.json")


def test_a_part_of_the_readme_is_written_again_and_the_others_stay(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- speed:start --><!-- speed:end -->\n<!-- results:start -->kept<!-- results:end -->\n")
    for text in ("first", "second"):
        put_between(readme, part="speed", text=text)
    marks = "a\n<!-- speed:start -->\nsecond\n<!-- speed:end -->\n<!-- results:start -->kept<!-- results:end -->\n"
    assert readme.read_text() == marks
