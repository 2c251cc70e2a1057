"""docs/replication.md is what its claims, results and tests give, and a claim cannot outlive what stands behind it."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from benchmarks import replication
from benchmarks.replication import CLAIMS, NO, PAGE, PARTLY, UNDECIDED, YES, page, row_of, verdict

from brats_cascade.errors import UserError

ROOT = Path(__file__).parents[1]
SPEED = {"machine": "two cores", "rows": [{"network": "a", "times": 40.0}, {"network": "b", "times": 10.0}]}
TESTS = """
import pytest
def test_counts(): assert 651_488
@pytest.mark.skip
def test_skipped(): pass
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(TESTS)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/speed.json").write_text(json.dumps(SPEED))
    return tmp_path


def verdict_on(root, *checks):
    return row_of({"id": "it", "claim": "It holds.", "source": "paper", "checks": list(checks)}, root=root)[3]


def value(network="a", **more):
    return {"value": {"file": "docs/speed.json", "where": {"network": network}, "key": "times"}, **more}


def test_the_page_in_git_is_what_the_claims_the_results_and_the_tests_give():
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(ROOT)


def test_every_claim_has_a_name_of_its_own_and_a_source():
    topics = yaml.safe_load((ROOT / CLAIMS).read_text(encoding="utf-8"))["topics"]
    claims = [claim for topic in topics for claim in topic["claims"]]
    assert len(claims) >= 25
    assert len({claim["id"] for claim in claims}) == len(claims)
    assert all(claim["source"].startswith(("paper, ", "notebook, ")) for claim in claims)


@pytest.mark.parametrize(
    ("check", "found"),
    [
        ({"test": "tests/test_a.py::test_counts", "holds": ["651_488"]}, YES),
        ({"test": "tests/test_a.py::test_counts", "refutes": True}, NO),
        (value(at_least=40), YES),
        (value(at_least=40.1), NO),
        (value(at_most=39.9), NO),
        (value(over=value("b")["value"], between=[3.9, 4.1]), YES),
        (value(over=value("b")["value"], between=[4.1, 5]), NO),
        ({"departure": "in another way"}, PARTLY),
    ],
)
def test_a_verdict_follows_from_the_figure_and_the_tolerance(root, check, found):
    assert verdict_on(root, check) == f"**{found}**"


def test_checks_that_disagree_are_partly_and_all_undecided_stay_so(root):
    assert verdict_on(root, value(at_least=40), value(at_least=41)) == f"**{PARTLY}**"
    assert [verdict([UNDECIDED] * 2), verdict([UNDECIDED, YES]), verdict([NO, NO])] == [UNDECIDED, PARTLY, NO]


@pytest.mark.parametrize(("gain", "few", "enough"), [(0.1, UNDECIDED, YES), (-0.1, UNDECIDED, NO)])
def test_a_difference_of_fewer_than_six_patients_decides_nothing(root, monkeypatch, gain, few, enough):
    check = {"difference": {"first": "a", "second": "b", "region": "core"}}
    for patients, expected in ((3, few), (5, few), (6, enough)):
        table = pd.DataFrame({"case": list("uvwxyz")[:patients], "core_dice": 0.5}).assign(
            patient=lambda one: one["case"]
        )
        better = table.assign(core_dice=0.5 + gain)
        scores = {"a": better, "b": table}
        monkeypatch.setattr(replication, "_cases", lambda root, spec, *, experiment, scores=scores: scores[experiment])
        assert verdict_on(root, check) == f"**{expected}**"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"test": "tests/test_b.py::test_counts"}, r"test_b\.py: not found"),
        ({"test": "tests/test_a.py::test_gone"}, "no test test_gone"),
        ({"test": "tests/test_a.py::test_skipped"}, "may be skipped"),
        ({"test": "tests/test_a.py::test_counts", "holds": ["802_368"]}, "expected to contain '802_368'"),
        (value("c", at_least=1), "expected one row .* found 0"),
        ({"value": {**value()["value"], "key": "gone"}, "at_least": 1}, "with gone"),
        ({"value": {**value()["value"], "file": "docs/gone.json"}, "at_least": 1}, r"gone\.json: not found"),
        (value(), "expected at_least, at_most or between"),
        ({"mean": {"experiment": "one", "region": "core", "score": "ppv"}, "at_most": 1}, "no stored results"),
        ({"guess": 1}, "expected a check of test, value"),
    ],
)
def test_what_a_claim_names_must_be_there(root, check, message):
    with pytest.raises(UserError, match=f"claim it: .*{message}"):
        verdict_on(root, check)


def test_an_experiment_that_the_record_lacks_is_named():
    check = {"dice": {"experiment": "no_such", "architecture": "two_path", "phases": "both phases"}}
    with pytest.raises(UserError, match=r"brats2018\.json: no experiment no_such \(cross-validation\)"):
        verdict_on(ROOT, check)
