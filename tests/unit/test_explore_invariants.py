"""The invariants of SQL schedules: deadlocks and errors, and outcomes compared whole and row by row."""

from __future__ import annotations

import pytest

from airflow_stress_explore.core import Failure
from airflow_stress_explore.sql.access import Access, AccessSet, Schema
from airflow_stress_explore.sql.actors import DEADLOCK, ActorThread, DatabaseError, Shared
from airflow_stress_explore.sql.executor import ScheduleExecutor
from airflow_stress_explore.sql.invariants import (
    Outcome,
    deadlocks_and_errors,
    each_row_as_in_some_order,
    lost_update,
    responses,
)

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


def test_an_outcome_of_a_serial_order_loses_nothing() -> None:
    assert lost_update(ORDERS[1], ORDERS) == []


def test_a_lost_update_names_what_differs_from_the_nearest_order() -> None:
    starting = {"task": ('{"id": 1, "state": "none"}',)}
    orders = [
        Outcome(("200", "done"), (("task", ('{"id": 1, "state": "failed"}',)),)),
        Outcome(("200", "none"), (("task", starting["task"]), ("log", ("{}",)))),
    ]
    found = Outcome(("500", "done"), (("task", ('{"id": 1, "state": "skipped"}',)),))
    assert lost_update(found, orders) == [
        Failure(
            "lost_update",
            "not as in any order one after the other: actor 1 got the answer '500', not '200'; "
            "task: state is skipped, not failed",
        )
    ]


def played(**actors: object) -> ScheduleExecutor:
    """An executor whose actors ended with these values or errors."""

    class FakeControl:
        def blockers(self, _backends: object) -> dict[int, frozenset[int]]:
            return {}

        def terminate(self, _backends: object) -> None:
            raise AssertionError("no actor crashes here")

    executor = ScheduleExecutor({}, FakeControl(), Schema(frozenset()))
    for name, value in actors.items():
        actor = ActorThread(name, "", lambda: None, Shared(Schema(frozenset())))
        actor.error, actor.value = (value, None) if isinstance(value, BaseException) else (None, value)
        executor.actors.append(actor)
    return executor


def test_an_actor_that_raises_is_an_error() -> None:
    executor = played(A="done", B=ValueError("no\nsuch  row"))
    assert deadlocks_and_errors(executor) == [Failure("error", "B: ValueError: no such row")]
    assert responses(executor) == {"A": "done", "B": "ValueError"}


def test_a_deadlock_counts_even_if_a_retry_hides_it() -> None:
    executor = played(A="done", B="done")
    executor.errors.append(DatabaseError("B", DEADLOCK, "deadlock detected\nDETAIL: ...", Access(AccessSet())))
    executor.errors.append(DatabaseError("B", "55P03", "lock not available", Access(AccessSet())))
    assert deadlocks_and_errors(executor) == [Failure("deadlock", "B: deadlock detected DETAIL: ...")]
