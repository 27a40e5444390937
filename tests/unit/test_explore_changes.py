"""Between which points an outcome changes, and how few of them are asked."""

from __future__ import annotations

import pytest

from stress.explore.changes import MOST_SCANNED, Change, changes


def asked_of(line: str) -> tuple[tuple[Change, ...], list[int]]:
    """The changes of a line (`x` occurs, `-` does not, `?` not known), and the points that were asked."""
    asked: list[int] = []

    def occurs(point: int) -> bool | None:
        asked.append(point)
        return {"x": True, "-": False, "?": None}[line[point]]

    return changes(len(line), occurs), asked


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("xx--", (Change(1, 2, occurs_after=False),)),
        ("---x", (Change(2, 3, occurs_after=True),)),
        ("-xx-", (Change(0, 1, occurs_after=True), Change(2, 3, occurs_after=False))),
        ("xxxx", ()),
        ("----", ()),
        ("x?-", (Change(0, 2, occurs_after=False),)),
        ("xx??--", (Change(1, 4, occurs_after=False),)),
        ("?x--", (Change(1, 2, occurs_after=False),)),
        ("x--?", (Change(0, 1, occurs_after=False),)),
        ("????", ()),
        ("x-", (Change(0, 1, occurs_after=False),)),
        ("x", ()),
    ],
)
def test_the_changes_of_a_line(line: str, expected: tuple[Change, ...]) -> None:
    assert asked_of(line)[0] == expected


def test_halving_asks_few_points_and_none_twice() -> None:
    found, asked = asked_of("x" * 700 + "-" * 324)
    assert found == (Change(699, 700, occurs_after=False),)
    assert len(asked) == len(set(asked)) <= 12


def test_on_a_long_line_with_equal_ends_some_points_are_asked_and_the_change_is_exact() -> None:
    found, asked = asked_of("-" * 500 + "x" * 100 + "-" * 500)
    assert found == (Change(499, 500, occurs_after=True), Change(599, 600, occurs_after=False))
    assert len(asked) == len(set(asked)) <= MOST_SCANNED + 2 * 6
