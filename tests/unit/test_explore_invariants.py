"""Outcomes row by row: what a sweep that skips locked rows may leave, and what nothing may."""

from __future__ import annotations

import pytest

from airflow_stress_explore.sql.invariants import Outcome, each_row_as_in_some_order

STARTING = {"task": ("a deferred", "b deferred"), "trigger": ("t", "t")}


def outcome(*rows: str, triggers: tuple[str, ...] = ("t", "t"), told: str = "200") -> Outcome:
    tables = {"task": tuple(sorted(rows)), "trigger": triggers}
    return Outcome((told, "done"), tuple((name, each) for name, each in tables.items() if each != STARTING[name]))


ORDERS = [outcome("a failed", "b failed"), outcome("a skipped", "b skipped", triggers=())]


@pytest.mark.parametrize(
    ("found", "right"),
    [
        pytest.param(outcome("a failed", "b failed"), True, id="the first order"),
        pytest.param(outcome("a failed", "b skipped", triggers=("t",)), True, id="each row in an order of its own"),
        pytest.param(outcome("a failed", "b failed by the sweep"), False, id="a row of both"),
        pytest.param(outcome("a deferred", "b failed"), False, id="a row that no order leaves as it was"),
        pytest.param(outcome("a failed", "a failed"), False, id="a row twice"),
        pytest.param(outcome("a failed"), False, id="a row too few"),
        pytest.param(outcome("a failed", "b skipped", told="500"), False, id="an answer that no order gives"),
    ],
)
def test_rows_are_compared_each_by_itself(found: Outcome, right: bool) -> None:
    assert each_row_as_in_some_order(found, ORDERS, STARTING) is right
