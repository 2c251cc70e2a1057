"""Tables for the terminal: plain and whole when piped, as wide as the terminal otherwise."""

import re

from brats_cascade.report.text import text_table

LONG = "a_case_with_a_long_name_" * 12


def test_piped_no_cell_is_cut_and_nothing_but_text_is_written():
    lines = text_table(["", "Dice", "rule"], rows=[[LONG, "0.5", "[b]none[/b]"], ["b", "", "x"]]).splitlines()
    assert lines[0].split() == ["Dice", "rule"]
    assert lines[1].split() == [LONG, "0.5", "[b]none[/b]"]
    assert lines[2].split() == ["b", "x"] and "\x1b" not in "".join(lines)
    assert lines[1].index("0.5") + 3 == lines[0].index("Dice") + 4  # numbers end below the end of their header


def test_on_a_terminal_the_table_fits_and_keeps_every_letter(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    text = re.sub("\x1b\\[[0-9;]*m", "", text_table(["case", "Dice"], rows=[[LONG, "0.5"]]))
    assert max(map(len, text.splitlines())) <= 60
    assert "".join(text.split()).replace("caseDice", "").replace("0.5", "") == LONG
