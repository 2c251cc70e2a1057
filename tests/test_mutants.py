"""The page of `make mutants`: where a change is, which ones are equivalent, and that what it names exists."""

import datetime
import tomllib

from benchmarks.mutants import Mutant, locate, page, reason_for, reasons
from tiny import ROOT

SOURCE = '''
def area(a, b):
    return a * b


class Box:
    def area(self):
        """In mm2."""
        side = 2
        return side * side
'''
DIFF = """--- src/box.py
+++ src/box.py
@@ -1,4 +1,4 @@
 def area(self):
     \"""In mm2.\"""
     side = 2
-    return side * side
+    return side / side"""


def test_a_change_is_found_in_its_file() -> None:
    assert locate(DIFF, source=SOURCE, name="box.xǁBoxǁarea__mutmut_3") == (
        10, "return side * side", "return side / side",
    )  # fmt: skip
    diff = "--- a\n+++ a\n@@ -1,2 +1,2 @@\n def area(a, b):\n-    return a * b\n+    return a / b"
    assert locate(diff, source=SOURCE, name="box.x_area__mutmut_1") == (3, "return a * b", "return a / b")


def test_a_call_of_zip_without_its_check_is_equivalent_and_no_other_argument() -> None:
    was = "dict(zip(a, b, strict=True))"
    for becomes in ("dict(zip(a, b, strict=False))", "dict(zip(a, b, ))", "dict(zip(a, b, strict=None))"):
        assert reason_for("m.py", was=was, becomes=becomes, known={})
    for becomes in ("dict(zip(a, None, strict=True))", "dict(zip(a, strict=True))", "None"):
        assert not reason_for("m.py", was=was, becomes=becomes, known={})


def test_the_page_counts_what_is_killed_and_lists_what_is_not() -> None:
    mutants = [
        Mutant("a.py", "killed", 1, "x + 1", "x - 1"),
        Mutant("a.py", "timeout", 2, "i += 1", "i -= 1"),
        Mutant("a.py", "survived", 3, "a | b", "a & b"),
        Mutant("b.py", "survived", 4, "x = 0", "x = None", "x is not used"),
        Mutant("b.py", "no tests", 5, "y", "None"),
    ]
    text = page(mutants, commit="c" * 40 + "+changes", date=datetime.date(2026, 1, 2), minutes=3)
    for line in (
        "| a.py | 3 | 2 | 66.7% | 0 | 1 |",
        "| b.py | 2 | 0 | 0.0% | 1 | 1 |",
        "| all | 5 | 2 | 40.0% | 1 | 2 |",
        r"|3|`a \| b`|`a & b`||",
        "|4|`x = 0`|`x = None`|equivalent: x is not used|",
        "|5|`y`|`None`|no tests|",
    ):
        assert line in text.splitlines()
    assert "commit ccccccc+changes on 2026-01-02" in text and "3 minutes" in text


def test_what_is_configured_and_what_is_called_equivalent_exists() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    paths = [*settings["only_mutate"], *settings["pytest_add_cli_args_test_selection"]]
    assert len(paths) == 10 and [path for path in paths if not (ROOT / path).is_file()] == []
    for module, was, _ in reasons():
        assert was in (ROOT / "src/brats_cascade" / module).read_text("utf-8"), (module, was)
