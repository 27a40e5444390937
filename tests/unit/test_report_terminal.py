"""The result in the terminal: a line a race, aligned columns, no control characters."""

from __future__ import annotations

import re

from stress.report import terminal
from tests.unit.reported import REMAINS, UNKNOWN, example, hostile


def test_terminal_shows_every_race_in_a_line_and_the_verdict_last() -> None:
    lines = terminal.render(example()).splitlines()
    assert lines[0].split() == ["race", "verdict", "stock", "fixed", "p", "(joint)", "rate", "ratio"]
    assert re.fullmatch(r"deadlock +removed +51 of 8,7\d\d +0 of 6,9\d\d +0\.0079 +< 0\.07\d", lines[1])
    assert lines[-1] == "PASS: All 3 races were seen on stock, and are gone on fixed."


def test_terminal_columns_line_up() -> None:
    table = terminal.render(REMAINS).split("\n\n")[0].splitlines()
    ends = {line.index("of 13,") for line in table[1:] if line.startswith("deadlock")}
    assert len(ends) == 1
    assert len({len(line) for line in table if not line.startswith("  ")}) == 1


def test_terminal_has_a_row_for_each_of_several_causes() -> None:
    rows = [line.split() for line in terminal.render(example()).splitlines() if line.startswith("  ")]
    assert [row[:3] for row in rows] == [["two", "schedulers", "77"], ["two", "triggerers", "74"]]


def test_terminal_gives_the_reason_of_what_is_undecided() -> None:
    assert "deadlock: unknown: undecided, too few blocks of the control show it: 0 of" in terminal.render(UNKNOWN)


def test_terminal_colours_only_when_asked() -> None:
    assert "\x1b" not in terminal.render(REMAINS)
    assert "\x1b[31mremains" in terminal.render(REMAINS, colour=True)
    assert "\x1b[31mFAIL" in terminal.render(REMAINS, colour=True)


def test_terminal_lets_no_control_character_through() -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", terminal.render(hostile()))
