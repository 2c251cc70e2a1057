"""Results that an earlier run left beside the page."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from material import page_of, scores, with_data, write_crossval

from brats_cascade.commands.record import run
from brats_cascade.errors import UserError

ROOT = Path(__file__).parents[2]


def test_results_of_earlier_runs_on_the_same_data_stay(project: Path, caplog) -> None:
    first = page_of(project)
    shutil.rmtree(project / "reports/figures/two")
    for name in ("one", "two"):
        for path in (f"models/{name}/record.json", f"metrics/{name}/summary.json", f"metrics/{name}/cases.csv"):
            (project / path).unlink()
    (project / "reports/comparison.json").write_text(json.dumps({"experiments": {"short": {}, "plain_unet": {}}}))
    page = run("real", root=project, command="dvc repro again", readme=False).read_text()
    row = next(line for line in first.splitlines() if line.startswith("| InputCascadeCNN: two | 0.5"))
    assert row in page and "3.0 min" in row  # with the training of its CNN 1
    for line in first.splitlines():  # its nine slices and its patients, too
        assert line in page or not line.startswith(("| one |", "| two |", "| TwoPathCNN: one |")), line
    assert "`dvc repro` (one, two); `dvc repro again` (short, plain_unet)" in page
    assert "(real_two_median.jpg)" in page and (project / "docs/results/real_two_median.jpg").is_file()
    assert not caplog.text
    with_data(project, "short", md5="other")
    with_data(project, "plain_unet", md5="other")
    page = run("real", root=project, command="dvc repro again", readme=False).read_text()
    assert ": two |" not in page and "| two |" not in page and "| InputCascadeCNN: short |" in page
    assert "docs/results/real/two.json: of other data or other unseen cases" in caplog.text


def test_results_of_the_same_scans_stand_together_whatever_machine_ingested_them(project: Path, caplog) -> None:
    def lay(clip: float, *, md5: str) -> str:
        for name in ("one", "two", "short", "plain_unet"):
            with_data(project, name, md5=md5)
            contract = {"n4": False, "clip": clip, "zscore": "brain", "axis": "axial"}
            (project / f"models/{name}/model.json").write_text(json.dumps(contract))
        return page_of(project)

    columns = {"case": ["A"], "patient": ["A"], "voxels_hash": ["1"], "label_0": [5]}
    pd.DataFrame(columns).to_parquet(project / "data/cases.parquet")
    lay(0.01, md5="123")
    (project / "reports/comparison.json").write_text(json.dumps({"experiments": {"one": {}}}))
    assert "| InputCascadeCNN: two |" in lay(0.01, md5="of another machine") and not caplog.text
    assert "| InputCascadeCNN: two |" not in lay(0.02, md5="123")  # the same scans, but clipped elsewhere
    assert "two.json: of other data" in caplog.text


def test_without_results_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run `dvc repro` first.* with --kept"):
        run("real", root=tmp_path, command="", readme=False)
    with pytest.raises(
        UserError, match=r"page.json: not found: no results were kept there; `brats-cascade record real` without"
    ):
        run("real", root=tmp_path, command="", readme=False, kept=True)


def test_the_page_of_kept_results_is_that_of_the_run(project: Path, tmp_path: Path) -> None:
    (project / "reports/comparison.json").write_text(
        json.dumps({"experiments": {"two": {}, "one": {}}, "baseline": {"complete": scores(0.678)}})
    )
    (project / "params.yaml").write_text("experiments: {one: {}, two: {}, untrained: {}}\n")
    whole = page_of(project)
    assert "| best threshold on one modality, 3 patients | 0.678 |" in whole and "Not trained yet: untrained." in whole
    for gone in ("metrics", "models", "data", "params.yaml", "reports"):
        path = project / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = page_of(project, kept=True)
    own = "Written by `brats-cascade record real --command 'dvc repro'` from"
    assert again == whole.replace(own, "Written by `brats-cascade record real --kept` from") != whole


def test_a_new_cross_validation_joins_the_kept_results(project: Path) -> None:
    page_of(project)
    write_crossval(project, "one", cases_of="one")
    for gone in ("metrics", "models", "data"):
        shutil.rmtree(project / gone)
    assert "| TwoPathCNN: one, cross-validated over 3 patients |" in page_of(project, kept=True)
    shutil.rmtree(project / "reports")
    assert "| TwoPathCNN: one, cross-validated over 3 patients |" in page_of(project, kept=True)  # and is kept itself


def test_the_page_in_git_is_what_its_kept_results_give(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs/results", tmp_path / "docs/results")
    shutil.copy(ROOT / "README.md", tmp_path)
    page = run("real", root=tmp_path, command="", readme=True, kept=True)

    def numbers(path: Path) -> list[str]:
        return [line for line in path.read_text().splitlines() if not line.startswith("Written by ")]

    assert numbers(page) == numbers(ROOT / "docs/results/real.md")
    assert (tmp_path / "README.md").read_text() == (ROOT / "README.md").read_text()


def test_of_a_cohorts_folder_on_this_disk_only_the_name_is_kept(project: Path) -> None:
    for source, kept in ((str(project / "scans/brats"), "brats"), ("../scans/brats", "../scans/brats")):
        path = project / "models/one/record.json"
        record = json.loads(path.read_text())
        record["params"]["data.source"] = source
        path.write_text(json.dumps(record))
        shutil.rmtree(project / "reports/crossval", ignore_errors=True)
        write_crossval(project, "one", cases_of="one", source=source)
        page_of(project)
        experiment, crossval = (
            json.loads((project / f"docs/results/real/{one}.json").read_text()) for one in ("one", "crossval/one")
        )
        assert experiment["run"]["params"]["data.source"] == crossval["source"] == kept
        assert str(project) not in json.dumps([experiment, crossval])
