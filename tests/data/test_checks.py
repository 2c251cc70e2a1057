import json
import re

import numpy as np
import pandas as pd
import pytest

from brats_cascade import MODALITIES
from brats_cascade.data.checks import judge_case, validate_cases
from brats_cascade.data.expectations import _read_report, failing_rules, make_offline
from brats_cascade.data.rule_table import plain
from brats_cascade.data.rules import SCAN_RULES, TRUTH_RULES, Rule, all_rules
from brats_cascade.data.verdict import cohort_numbers
from brats_cascade.errors import UserError

INTENSITIES = {"min": 3.0, "p01": 10.0, "p50": 200.0, "p99": 600.0, "max": 900.0, "mean": 210.0, "std": 80.0}


def good_case(case, **changes):
    """A row of data/cases.parquet that meets every rule."""
    row = {
        "case": case,
        "patient": case,
        "grade": "high",
        "release": "brats2017",
        "scheme": "merged",
        "folder": f"raw/{case}",
        "namesake": "",
        "traces": "",
        "modalities": ",".join(MODALITIES),
        "volumes": 5,
        "has_truth": True,
        "problem": "",
        "slices": 155,
        "rows": 240,
        "columns": 240,
        "spacing_slice": 1.0,
        "spacing_row": 1.0,
        "spacing_column": 1.0,
        "same_grid": True,
        "finite": True,
        "brain_fraction": 0.17,
        "labels": "0,1,2,4",
        "unknown_labels": "",
        **{f"label_{label}": count for label, count in enumerate((8_838_000, 20_000, 50_000, 0, 20_000))},
        "tumour_cm3": 90.0,
        "tumour_outside_brain": 900,
        "voxels_hash": f"hash of {case}",
        "stored": True,
    }
    row |= {f"{name}_{key}": value for name in MODALITIES for key, value in INTENSITIES.items()}
    return row | changes


def unreadable_case(case, problem):
    """A row as ingest writes it for a case it could not read: everything but the names is unknown."""
    row = dict.fromkeys(good_case(case), np.nan)
    known = good_case(case, problem=problem, stored=False)
    texts = ("case", "patient", "grade", "release", "scheme", "folder", "modalities", "has_truth", "problem", "stored")
    return row | {key: known[key] for key in texts} | {"labels": "", "unknown_labels": "", "voxels_hash": ""}


def broken_alone(row):
    """The reasons of the rules that a case breaks by itself, critical ones and warnings, each once."""
    (fact,) = plain(pd.DataFrame([row])).to_dict("records")
    broken = [rule for rule in (*SCAN_RULES, *TRUTH_RULES) if rule.broken_by(fact)]
    return [
        list(dict.fromkeys(rule.reason.format_map(fact) for rule in broken if rule.severity == severity))
        for severity in ("critical", "warning")
    ]


@pytest.mark.slow
def test_every_broken_rule_is_named_and_only_errors_set_aside(tmp_path):
    rows = [
        good_case("a_good"),
        unreadable_case("b_truncated", "b_truncated: b_flair.nii.gz: truncated gzip; download it again"),
        good_case("c_three", modalities="t1,flair,t2"),
        good_case("d_grid", same_grid=False),
        good_case("e_nan", finite=False),
        good_case("f_empty", brain_fraction=0.002),
        good_case("g_skull", brain_fraction=0.97),
        good_case("h_label", unknown_labels="5,7"),
        good_case("i_no_truth", has_truth=False, tumour_cm3=np.nan, labels=""),
        good_case("j_huge", tumour_cm3=700.0),
        good_case("k_constant", t2_std=0.0),
        good_case("l_scale", t1c_max=3e9),
        good_case("m_thick", spacing_slice=7.0),
        good_case("n_no_tumour", tumour_cm3=0.0),
        good_case("o_phantom", spacing_slice=2.0, spacing_row=2.0, spacing_column=2.0),
        good_case("p_flat", flair_p01=200.0, flair_p99=200.0),
        good_case("r_outside", tumour_outside_brain=45_000),
        good_case("q_unmeasured", brain_fraction=np.nan),
        good_case("s.two", namesake="elsewhere/s"),
    ]
    verdict = validate_cases(pd.DataFrame(rows), docs=tmp_path / "docs")

    assert verdict.accepted == ("a_good", "n_no_tumour", "o_phantom", "p_flat", "r_outside", "s.two")
    reasons = dict(verdict.set_aside)
    words = {
        "b_truncated": "truncated gzip",
        "c_three": "modalities flair,t1,t2, expected flair,t1,t1c,t2",
        "d_grid": "resample",
        "e_nan": "NaN or Inf",
        "f_empty": "0.2%",
        "g_skull": "97.0%",
        "h_label": "labels 5,7, unknown to the scheme 'merged'",
        "i_no_truth": "no ground truth: can be segmented",
        "j_huge": "700 cm3",
        "k_constant": "t2 is constant",
        "l_scale": "t1c runs from 3 to 3e+09",
        "m_thick": "7 x 1 x 1 mm",
        "q_unmeasured": "ingest",
    }
    assert set(reasons) == set(words)
    for case, word in words.items():
        assert word in reasons[case] and case in reasons[case] and "\n" not in reasons[case]
    assert reasons["b_truncated"] == rows[1]["problem"]  # and nothing about the facts that nobody could read
    for row in rows:  # one case alone is judged as Great Expectations judges the cohort
        errors, doubts = broken_alone(row)
        if row["case"] not in ("b_truncated", "o_phantom", "s.two"):
            told = reasons.get(row["case"]) or dict(verdict.warnings).get(row["case"], "")
            assert told == (f"{row['case']}: {'; '.join(errors or doubts)}" if errors or doubts else "")
        assert {*judge_case(row)[0]} <= {*errors} and {*judge_case(row)[1]} <= {*doubts}
    assert judge_case(rows[1])[0][0] == rows[1]["problem"]
    assert judge_case(good_case("x", has_truth=False, tumour_cm3=np.nan)) == ((), ())  # to be segmented
    warnings = dict(verdict.warnings)
    assert set(warnings) == {"n_no_tumour", "o_phantom", "p_flat", "r_outside", "s.two"}
    assert "the case in elsewhere/s has the same name" in warnings["s.two"]
    assert warnings["o_phantom"].count("2 x 2 x 2 mm") == 1  # broken on three axes, told once
    assert "most cases have 1 x 1 x 1 mm" in warnings["o_phantom"] and verdict.notes == ()
    assert "50.0% of its tumour" in warnings["r_outside"]
    numbers = cohort_numbers(pd.DataFrame(rows), verdict=verdict)
    assert numbers == {
        **{"found": 19, "accepted": 6, "set_aside": 13, "warnings": 5},
        **{"patients": 6, "high": 6, "low": 0},
    }
    stored = json.loads(json.dumps(verdict.as_dict()))
    assert stored["set_aside"][0] == {"case": "b_truncated", "reason": rows[1]["problem"]}


@pytest.mark.slow
def test_of_twins_the_first_usable_by_name_stays(tmp_path):
    rows = [
        good_case("z", voxels_hash="same"),
        good_case("m", voxels_hash="same"),
        good_case("b", voxels_hash="other"),
        good_case("a", voxels_hash="other", has_truth=False),  # cannot train: its twin with a truth is kept
        unreadable_case("x", "x: bad"),
        unreadable_case("y", "y: bad"),  # two unknown hashes are not twins
    ]
    verdict = validate_cases(pd.DataFrame(rows), docs=tmp_path)
    assert verdict.accepted == ("b", "m")
    reasons = dict(verdict.set_aside)
    assert "same voxels as m" in reasons["z"] and "no ground truth" in reasons["a"]
    assert reasons["x"] == "x: bad" and reasons["y"] == "y: bad"


BAD_FACTS = {
    "brain": {"brain_fraction": 0.97},
    "scale": {"t1c_max": 3e9},
    "constant": {"t2_std": 0.0},
    "spacing": {"spacing_slice": 40.0},
    "huge": {"tumour_cm3": 700.0},
    "grid": {"same_grid": False},
    "labels": {"scheme": "edema-core"},
}


@pytest.mark.slow
def test_a_twin_stays_where_a_rule_sets_the_other_aside(tmp_path):
    rows = []
    for fault, facts in BAD_FACTS.items():
        rows += [good_case(f"{fault}_a", voxels_hash=fault, **facts), good_case(f"{fault}_b", voxels_hash=fault)]
    verdict = validate_cases(pd.DataFrame(rows), docs=tmp_path)
    assert verdict.accepted == tuple(sorted(f"{fault}_b" for fault in BAD_FACTS))
    assert {case for case, _ in verdict.set_aside} == {f"{fault}_a" for fault in BAD_FACTS}


@pytest.mark.slow
@pytest.mark.parametrize(("release", "notes"), [("phantom", 0), ("brats2013", 1)])
def test_a_spacing_that_all_cases_share_is_told_once_and_breaks_no_rule(tmp_path, release, notes):
    size = {f"spacing_{axis}": 2.75 for axis in ("slice", "row", "column")}
    rows = [good_case(f"{number}", release=release, **size) for number in range(4)]
    verdict = validate_cases(pd.DataFrame(rows), docs=tmp_path)
    assert len(verdict.accepted) == 4 and verdict.warnings == () and len(verdict.notes) == notes
    entry = (tmp_path / "index.html").read_text()
    assert entry.count("2.75 x 2.75 x 2.75 mm") == notes
    page = next((tmp_path / "great_expectations").rglob("validations/**/*.html")).read_text()
    assert re.search(r"Status:</span> <i [^>]*></i> Succeeded", page) and "fa-times" not in page.partition("<body")[2]


def test_cases_of_one_name_are_both_set_aside(tmp_path):
    rows = [good_case("a", folder="1", voxels_hash="1"), good_case("a", folder="2", voxels_hash="2"), good_case("b")]
    verdict = validate_cases(pd.DataFrame(rows), docs=tmp_path)
    assert verdict.accepted == ("b",)
    assert [case for case, _ in verdict.set_aside] == ["a", "a"]
    assert "rename" in verdict.set_aside[0][1]


@pytest.mark.slow
def test_a_problem_that_does_not_name_its_case_gets_the_name(tmp_path):
    rows = [good_case("a"), unreadable_case("b", "truncated\ngzip")]
    assert validate_cases(pd.DataFrame(rows), docs=tmp_path).set_aside == (("b", "b: truncated gzip"),)


@pytest.mark.slow
def test_nullable_columns_are_read_alike(tmp_path):
    table = pd.DataFrame([good_case("a"), good_case("b", has_truth=False), unreadable_case("c", "c: bad")])
    verdict = validate_cases(table.convert_dtypes(), docs=tmp_path)
    assert verdict.accepted == ("a",) and [case for case, _ in verdict.set_aside] == ["b", "c"]


def test_a_cohort_without_a_usable_case_is_refused_with_reasons(tmp_path):
    rows = [unreadable_case(name, f"{name}: wrong magic; replace the file") for name in "abcd"]
    with pytest.raises(UserError, match=r"all 4 cases are excluded.*a: wrong magic.*b: wrong magic.*c: wrong magic"):
        validate_cases(pd.DataFrame(rows), docs=tmp_path)
    with pytest.raises(UserError, match="no cases"):
        validate_cases(pd.DataFrame([good_case("a")]).iloc[:0], docs=tmp_path)


@pytest.mark.slow
def test_pages_name_the_cases_and_fetch_nothing(tmp_path):
    stale = tmp_path / "docs" / "stale.html"
    stale.parent.mkdir()
    stale.write_text("old")
    rows = [good_case("a"), good_case("b<i>", tumour_cm3=0.0), good_case("c", finite=False)]
    validate_cases(pd.DataFrame(rows), docs=tmp_path / "docs")
    assert not stale.exists()
    entry = (tmp_path / "docs" / "index.html").read_text()
    assert "2 of 3 cases" in entry and "b&lt;i&gt;" in entry and "NaN or Inf" in entry
    links = re.findall(r'<a href="([^"]+)"', entry)
    assert len(links) == 2 and all((tmp_path / "docs" / link.replace("%20", " ")).is_file() for link in links)
    pages = list((tmp_path / "docs").rglob("*.html"))
    assert len(pages) >= 4
    fetches = re.compile(r"<(?:script|link|img|iframe|object|embed)\b|\bsrc=|url\(|@import", re.IGNORECASE)
    assert not list((tmp_path / "docs").rglob("*.css"))
    for page in pages:
        assert not fetches.search(page.read_text(encoding="utf-8")), page
    assert "The ground truth holds some tumour." in (tmp_path / "docs" / links[0]).read_text()


def test_make_offline_keeps_text_and_links_and_leads_home(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        '<head><link rel="x" href="//cdn.example/a.css"><link rel="icon" href="./static/i.ico">'
        "<style>a{background:url('https://cdn.example/b.png')}</style></head>"
        '<body><img src="http://cdn.example/c.png"><a href="https://example.org">read</a><script>x()</script></body>'
    )
    make_offline(tmp_path)
    text = page.read_text()
    assert "cdn.example" not in text and "x()" not in text and "i.ico" not in text
    assert '<body><a href="https://example.org">read</a></body>' in text
    assert '<a href="../index.html">' in (tmp_path / "index.html").read_text()


def test_a_rule_that_great_expectations_drops_is_an_error(tmp_path):
    class Report:
        statistics = {"evaluated_expectations": 1}  # noqa: RUF012
        results = ()

    rules = all_rules(spacing=(1, 1, 1))
    with pytest.raises(RuntimeError, match=f"evaluated 1 of {len(rules)} rules"):
        _read_report(Report(), rules=rules)


def test_a_rule_that_cannot_be_evaluated_is_an_error(tmp_path):
    rule = Rule("ExpectColumnValuesToBeInSet", {"column": "absent", "value_set": [1]}, "text", "reason")
    with pytest.raises(RuntimeError, match="could not be evaluated"):
        failing_rules(pd.DataFrame({"case": ["a"]}), rules=[rule], site=tmp_path / "site")
