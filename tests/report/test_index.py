import base64
import html
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brats_cascade import PHANTOM
from brats_cascade.costs import keep_costs, scores_of
from brats_cascade.drawing.figures import new_figure, write_figures
from brats_cascade.drawing.overlays import overlay
from brats_cascade.evaluation.lesions import LESION_COUNTS, score_lesions
from brats_cascade.evaluation.regions import score_case
from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN, nine_slices, slice_table
from brats_cascade.evaluation.summary import summarise
from brats_cascade.report.index import build_report
from brats_cascade.tracking.store import runs_page

CASES = ("case_a", "case_b", "<b>case_c</b>")
BASELINE = {"rule": "t2 above +1.10 SD", "training_dice": 0.5,
            "complete": {"dice": 0.512, "ppv": 0.4, "sensitivity": 0.3, "hd95": 20.0}}  # fmt: skip


def write_json(path, tree):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))


def write_metrics(root, *, name, seed):
    """Scores of made-up segmentations, written as the evaluate stage does."""
    generator = np.random.default_rng(seed)
    rows, tables = [], []
    for number, case in enumerate(CASES):
        truth = np.zeros((12, 16, 18), np.uint8)
        truth[2:10, 4:12, 4 : 10 + number], truth[4:7, 6:9, 6:9] = 2, 4
        found = np.where(generator.random(truth.shape) < 0.1, 0, truth).astype(np.uint8)
        scores = score_case(truth, found, spacing=(1, 1, 1)) | score_lesions(truth, found, spacing=(1, 1, 1))
        facts = {"case": case, "patient": case, "grade": "high" if number else "low"}
        rows.append({**facts, **scores})
        table = slice_table(truth, found)
        table.insert(0, "case", case)
        tables.append(table.assign(**{EARLIER_WORK_COLUMN: 0.987}))
    cases = pd.DataFrame(rows)
    calibration = {"ece": 0.0123, "ece_tumour": None, "ece_scaled": 0.01, "ece_tumour_scaled": 0.2, "temperature": 1.5}
    summary = {**summarise(cases, seed=1), "validation": {"dice": 0.2 * seed}, "calibration": calibration}
    write_json(root / f"metrics/{name}/summary.json", summary)
    cases.to_csv(root / f"metrics/{name}/cases.csv", index=False)
    seconds = dict.fromkeys(CASES, 4.2)
    keep_costs(root, name=name, what="evaluation", result=scores_of(root, name=name), costs={"seconds": seconds})
    slices = pd.concat(tables)
    slices.to_csv(root / f"metrics/{name}/slices.csv", index=False)
    largest = cases["case"].iloc[int(cases["complete_truth_cm3"].argmax())]
    nine_slices(slices, case=largest).to_csv(root / f"metrics/{name}/nine_slices.csv", index=False)
    return summary


def write_model(root, *, name, validation, release="brats2017"):
    (root / f"models/{name}").mkdir(parents=True)
    pd.DataFrame(
        {"phase": [1, 2], "check": [0, 0], "step": [10, 15], "loss": [2.0, 1.0], "validation_loss": [2.0, 1.5],
         "validation_complete": [0.1, validation], "validation_core": [0.1, 0.2], "validation_enhancing": [0.0, 0.1]}
    ).to_csv(root / f"models/{name}/history.csv", index=False)  # fmt: skip
    weights = pd.DataFrame({"case": ["a"], "slice": [1], "weight_0": [0.5], "weight_2": [4.0]})
    weights.to_csv(root / f"models/{name}/class_weights.csv", index=False)
    write_json(
        root / f"models/{name}/record.json",
        {"experiment": name, "architecture": "two_path", "builds_on": "data/patches",
         "params": {"train.width": 0.3125, "data.source": "x"}, "parameters": 12345, "seconds": 200.0,
         "labelled_pixels": 1000000, "peak_memory_mb": 1800.0, "machine": "2 cores", "git_commit": "c0ffee" * 6, "seed": 3,
         "data_hashes": {"data/volumes": "feedbeef00112233"}, "release": release},
    )  # fmt: skip


def write_data(root):
    cases = pd.DataFrame(
        {"case": CASES, "grade": ["low", "high", "high"], "release": "brats2017", "slices": pd.array([12, 12, None]),
         "rows": 16, "columns": 18, "spacing_slice": 1.0, "spacing_row": 1.0, "spacing_column": 1.0, "labels": "0,2,4",
         "tumour_cm3": [1.0, 2.0, np.nan], "problem": ["", "", "cut short"], "stored": [True, True, False],
         **{f"label_{label}": pd.array([10, 20, None], dtype="Int64") for label in range(5)}}
    )  # fmt: skip
    (root / "data").mkdir()
    cases.to_parquet(root / "data/cases.parquet")
    write_json(root / "metrics/data.json", {"found": 3, "accepted": 2, "set_aside": 1, "patients": 2})
    write_json(
        root / "data/verdict.json",
        {"accepted": ["case_a"], "set_aside": [{"case": "case_x", "reason": "case_x: cut short"}], "warnings": []},
    )
    write_json(root / "data/splits.json", {"seed": 7, "train": ["case_a"], "validation": [], "test": ["case_b"]})
    write_json(
        root / "data/patches/summary.json",
        {"classes": [0, 2], "voxel_shares": {"0": 0.98, "2": 0.02}, "counts": {"phase1": {"0": 5000, "2": 5000}}},
    )


class Tags(HTMLParser):
    """Collects the addresses a page would load, and checks that tags are closed."""

    void = ("meta", "img", "br", "link", "input")

    def __init__(self):
        super().__init__()
        self.sources, self.links, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        found = [value for name, value in attrs if name in ("src", "href")]
        if tag == "a":  # loads nothing before it is clicked
            self.links += found
        else:
            self.sources += found
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(page):
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def pixels_of(picture):
    """Size and pixels of a picture, whatever its format."""
    with Image.open(picture) as opened:
        return opened.size, opened.convert("RGB").tobytes()


def chart(width, height):
    """A figure that a format with losses would change."""
    figure = new_figure(width, height)
    figure.text(0.1, 0.4, f"{width} x {height}", color="red")
    return figure


def rows_of(page):
    """The text of every table row, cells joined by a bar."""
    rows = re.findall(r"<tr.*?</tr>", page, flags=re.DOTALL)
    return ["|".join(re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.split(r"</t[dh]>", row)) for row in rows]


@pytest.mark.slow
def test_the_whole_page(tmp_path):
    summary = write_metrics(tmp_path, name="first", seed=1)
    write_metrics(tmp_path, name="second", seed=2)
    write_model(tmp_path, name="first", validation=0.4, release=PHANTOM)
    write_model(tmp_path, name="second", validation=0.6, release=PHANTOM)
    write_data(tmp_path)
    image = np.ones((12, 16, 18, 4), np.float32)
    drawn = {"best_overlay": overlay(image), "best_slices": chart(1, 1), "worst_slices": chart(1, 2)}
    write_figures(tmp_path / "reports/figures/first", figures=drawn, dpi=40)
    curves = {"learning_curves": chart(2, 1), "class_weights": chart(2, 2), "reliability": chart(1, 3)}
    charts = write_figures(tmp_path / "reports/figures/first", figures=curves, dpi=40)
    write_json(tmp_path / "reports/data/index.html", "the checks of the data")
    charts |= {name: tmp_path / f"reports/figures/first/{name}.png" for name in ("best_slices", "worst_slices")}
    page = build_report(tmp_path, experiments=["first", "second", "third"], baseline=BASELINE)
    tags = read(page)
    assert all(source.startswith("data:image/") for source in tags.sources)  # nothing is loaded from elsewhere
    shown = [base64.b64decode(source.split(",")[1]) for source in tags.sources if source.startswith("data:image/webp")]
    whole = [pixels_of(io.BytesIO(picture)) for picture in shown]
    assert all(pixels_of(chart) in whole for chart in charts.values())  # charts lose nothing
    (overlays,) = (tmp_path / "reports/figures/first").glob("best_overlay.*")
    assert pixels_of(overlays)[0] in {size for size, _ in whole} and pixels_of(overlays) not in whole
    assert {link for link in tags.links if not link.startswith("#")} == {"data/index.html", runs_page()}
    assert "http" not in page.replace(html.escape(runs_page()), "") and "@import" not in page
    sizes = [f'width="{width}" height="{height}"' for (width, height), _ in whole]
    images = re.findall(r"<img[^>]*>", page)
    assert len(images) == len(sizes) and all('loading="lazy"' in image for image in images)
    assert all(size in image for size, image in zip(sizes, images, strict=True))  # nothing moves when they appear
    rows = rows_of(page)
    ours = next(row for row in rows if row.startswith("first|"))
    assert f"{summary['complete']['dice']:.3f}" in ours and f"{summary['enhancing']['hd95']:.1f}" in ours
    assert any("intensity threshold" in row and "0.512" in row for row in rows)
    assert sum("paper, " in row for row in rows) == 5
    assert any(row.startswith("InputCascade|pixel agreement|0.925") for row in rows)
    assert any(row.startswith("|pixel agreement|0.987") for row in rows)
    assert "a rough reference, not a ranking" in page and "built-in phantom" in page
    assert "<b>third</b> has not been evaluated" in page
    assert "those of <b>second</b>" in page  # chosen by validation
    assert [row.split("best on validation")[0].split() for row in rows if "best on validation" in row] == [["second"]]
    assert re.findall(r'<details class="run" id="run-([^"]*)">\n<summary><h3>\1</h3>(?:.*>(best on validation)<)?', page) == [
        ("first", ""), ("second", "best on validation"),
    ]  # fmt: skip
    assert page.count("too few to compare") == 1 and "Wilcoxon" not in page  # three patients
    assert any(row.startswith("case_x|cut short|") for row in rows)
    for text in ("c0ffeec0ffee", "feedbeef0011", "12,345", "3.3 min", "1.8 GB", "0.3125", "4.2 s"):
        assert text in page
    assert "<b>case_c</b>" not in page and "&lt;b&gt;case_c&lt;/b&gt;" in page  # names are escaped


def test_cases_with_a_page_are_linked_where_the_experiment_leads(tmp_path):
    for seed, name in enumerate(("first", "second"), start=1):
        write_metrics(tmp_path, name=name, seed=seed)
        write_model(tmp_path, name=name, validation=0.2 * seed)
    pages = tmp_path / "reports/cases"
    assert "cases/" not in "".join(read(build_report(tmp_path, experiments=["first", "second"])).sources)
    pages.mkdir(parents=True)
    for name in ("index", "case_a"):
        (pages / f"{name}.html").touch()
    header, first, second = build_report(tmp_path, experiments=["first", "second"]).split('<details class="run"')
    assert 'href="cases/index.html"' in header and 'href="cases/' not in first
    assert set(re.findall('href="(cases/.*?)"', second)) == {"cases/case_a.html"}


def test_lesion_wise_scores_are_in_a_folded_table_of_their_own(tmp_path):
    summary = write_metrics(tmp_path, name="only", seed=1)
    page = build_report(tmp_path, experiments=["only"])
    folded = page.split("<summary>Lesion-wise scores")[1].split("</details>")[0]
    core, row = summary["core"], next(row for row in rows_of(folded) if row.startswith("core|"))
    assert row.split("|")[1:6] == [
        f"{core['lesion_dice']:.3f}", f"{core['lesion_hd95']:.1f}", *(str(core[key]) for key in LESION_COUNTS)
    ]  # fmt: skip
    assert f"{core['nsd']:.3f}|{core['volume_bias']:+.1f} [" in row
    assert "error of the probabilities: 0.0123 over the brain" in folded and "with a temperature of 1.5" in folded


def test_nine_slices_of_the_largest_tumour(tmp_path):
    write_metrics(tmp_path, name="only", seed=1)
    row = next(row for row in rows_of(build_report(tmp_path, experiments=["only"])) if "case_c" in row and "|4|" in row)
    assert row.split("|")[2:11] == [str(number) for number in range(1, 10)]


@pytest.mark.parametrize("evaluated", [True, False])
def test_missing_files_leave_gaps_not_errors(tmp_path, evaluated):
    if evaluated:
        write_metrics(tmp_path, name="only", seed=1)
        (tmp_path / "metrics/only/slices.csv").unlink()
    page = build_report(tmp_path, experiments=["only"])
    read(page)
    assert ("has not been evaluated" in page) is not evaluated
    assert "built-in phantom" not in page and "intensity threshold" not in page
