"""Deadlocks: each is counted once, named by its cause, and measured against the state updates."""

from __future__ import annotations

import pytest

from stress import events
from stress.observers.statements import signature
from stress.races.deadlock.checker import check
from stress.races.registry import CAUSES
from tests.unit.histories import Block, at, deadlock, fault

REFRESH = "UPDATE task_instance SET dag_version_id"
LOCKING = "SELECT task_instance, dag_run FOR UPDATE"
SWEEP = "UPDATE task_instance SET state, next_method, next_kwargs, scheduled_dttm, trigger_id"
QUEUE = "INSERT asset_dag_run_queue"


def answered(count: int, operation: str = "success", code: int = 204) -> events.AnyEvent:
    return events.ApiAnswered(operation=operation, code=code, count=count, seconds=0.1, buckets=[0] * 13)


def sampled(deadlocks: int) -> events.AnyEvent:
    return events.DatabaseSampled(deadlocks=deadlocks, commits=1, rollbacks=1, sessions=1)


@pytest.mark.parametrize(
    ("left", "right", "cause"),
    [
        (("api-server", LOCKING), ("scheduler-1", REFRESH), "state_update_vs_version_refresh"),
        (("scheduler-2", REFRESH), ("api-server", LOCKING), "state_update_vs_version_refresh"),
        (("scheduler-1", REFRESH), ("scheduler-2", REFRESH), "scheduler_vs_scheduler"),
        (("scheduler-1", REFRESH), ("api-server", "UPDATE dag_run SET state"), "api-server_vs_scheduler"),
        (("scheduler-1", "UPDATE dag_run SET state"), ("api-server", LOCKING), "api-server_vs_scheduler"),
        # The roles count, not only the statements: here the api-server refreshes and the scheduler locks.
        (("api-server", REFRESH), ("scheduler-1", LOCKING), "api-server_vs_scheduler"),
        (("api-server", REFRESH), ("api-server", LOCKING), "api-server"),
        (("api-server", LOCKING), ("api-server", LOCKING), "api-server"),
        (("triggerer-1", "DELETE trigger"), ("scheduler-1", REFRESH), "scheduler_vs_triggerer"),
        (("unknown", LOCKING), ("scheduler-1", REFRESH), "scheduler_vs_unknown"),
        # A session that is no component's: its name may be anything.
        (("psql of 10.0.0.7", LOCKING), ("scheduler-1", REFRESH), "other_vs_scheduler"),
        (("triggerer-1", "UPDATE task_instance SET trigger_id"), ("api-server", LOCKING), "trigger_cleanup"),
        (("api-server", LOCKING), ("scheduler-2", SWEEP), "timeout_sweep"),
        (("scheduler-1", SWEEP), ("scheduler-2", REFRESH), "timeout_sweep"),
        (("api-server", QUEUE), ("api-server", QUEUE), "asset_queue"),
        (("api-server", QUEUE), ("api-server", LOCKING), "api-server"),
    ],
)
def test_the_cause_is_told_by_who_took_part_with_what(
    left: tuple[str, str], right: tuple[str, str], cause: str
) -> None:
    block = Block().add(10.2, deadlock(10, left, right)).end()
    assert [incident.cause for incident in check(block.view()).incidents] == [cause]


def test_the_cause_of_a_cycle_of_three_is_told() -> None:
    two = deadlock(10)
    third = events.DeadlockSide(pid=9, component="api-server", statement="", waits_for="", signature=LOCKING)
    three = events.DeadlockSeen(at=two.at, victim=two.victim, context="", sides=[*two.sides, third])
    block = Block().add(10.2, three).end()
    assert check(block.view()).incidents[0].cause == "state_update_vs_version_refresh"


# As PostgreSQL 16 logged them when the reproducers of the findings were played, but for the end of the long select.
MARKED_RUN = (
    "UPDATE dag_run SET end_date='2026-11-24T21:16:29.400311+00:00'::timestamptz, state='failed', "
    "updated_at='2026-11-24T21:16:29.400957+00:00'::timestamptz WHERE dag_run.id = 1"
)
CLEARED_RUN = (
    "UPDATE dag_run SET queued_at='2026-11-24T21:16:30.765751+00:00'::timestamptz, "
    "updated_at='2026-11-24T21:16:30.780014+00:00'::timestamptz, clear_number=1, "
    """context_carrier='{"__var": {"traceparent": "00-a4f6-ae0c-00"}, "__type": "dict"}'::JSONB WHERE dag_run.id = 1"""
)
SCHEDULING = (
    "UPDATE task_instance SET start_date='2026-11-24T21:16:29.421312+00:00'::timestamptz, "
    "end_date='2026-11-24T21:16:29.421316+00:00'::timestamptz, duration=0, state='success', "
    "try_number=(task_instance.try_number + 1), updated_at='2026-11-24T21:16:29.422436+00:00'::timestamptz "
    "WHERE task_instance.id IN ('01a20f6a-ba6e-711f-b915-cf2b2357d7cc'::uuid::UUID) "
    "AND (task_instance.state IS NULL OR task_instance.state IN ('up_for_reschedule', 'up_for_retry'))"
)
ENDED_TASK = (
    "UPDATE task_instance SET state='failed', updated_at='2026-11-24T21:16:31.376732+00:00'::timestamptz "
    "WHERE task_instance.id = '01a20f6a-db37-7cc1-a4fa-4441220f3f68'::uuid::UUID"
)
LOCKED_TASK = (
    "SELECT task_instance.id AS task_instance_id FROM task_instance JOIN dag_run AS dag_run_1 ON dag_run_1.dag_id = "
    "task_instance.dag_id AND dag_run_1.run_id = task_instance.run_id WHERE task_instance.id = "
    "'01a20f6a-db37-7cc1-a4fa-4441220f3f68'::uuid::UUID FOR UPDATE"
)


@pytest.mark.parametrize(
    ("left", "right", "cause"),
    [
        pytest.param(("scheduler-1", SCHEDULING), ("api-server", MARKED_RUN), "run_marking", id="12 on 3.3.2"),
        pytest.param(("api-server", CLEARED_RUN), ("scheduler-1", SCHEDULING), "run_clearing", id="15 on 3.3.2"),
        pytest.param(("api-server", ENDED_TASK), ("api-server", ENDED_TASK), "fail_fast", id="18 on 3.3.2"),
        pytest.param(("api-server", ENDED_TASK), ("api-server", LOCKED_TASK), "fail_fast", id="18 on 3.2.1"),
        pytest.param(("api-server", MARKED_RUN), ("triggerer-1", SCHEDULING), "api-server_vs_triggerer", id="others"),
        pytest.param(("scheduler-1", ENDED_TASK), ("scheduler-2", ENDED_TASK), "scheduler_vs_scheduler", id="retry"),
    ],
)
def test_each_deadlock_of_the_findings_has_a_cause_of_its_own(
    left: tuple[str, str], right: tuple[str, str], cause: str
) -> None:
    event = deadlock(10, (left[0], signature(left[1])), (right[0], signature(right[1])))
    assert [found.cause for found in check(Block().add(10.2, event).end().view()).incidents] == [cause]
    assert {"run_marking", "run_clearing", "fail_fast"} <= set(CAUSES["deadlock"])


TUPLE, ROW = "ExclusiveLock on tuple (7,27) of relation 1", "ShareLock on transaction 5201"


@pytest.mark.parametrize(
    ("sides", "cause"),
    [
        # The api-server stands before the first scheduler in the queue of a row that the second one holds.
        (
            [("scheduler-1", REFRESH, TUPLE), ("api-server", LOCKING, ROW), ("scheduler-2", REFRESH, ROW)],
            "scheduler_vs_scheduler",
        ),
        (
            [("scheduler-2", REFRESH, ROW), ("scheduler-1", REFRESH, TUPLE), ("api-server", LOCKING, ROW)],
            "scheduler_vs_scheduler",
        ),
        (
            [("api-server", LOCKING, ROW), ("scheduler-2", REFRESH, ROW), ("scheduler-1", REFRESH, TUPLE)],
            "scheduler_vs_scheduler",
        ),
        # One of two api-servers does; the other holds what the scheduler wants.
        (
            [("scheduler-2", REFRESH, ROW), ("api-server", LOCKING, TUPLE), ("api-server", LOCKING, ROW)],
            "state_update_vs_version_refresh",
        ),
        # All hold something.
        (
            [("scheduler-1", REFRESH, ROW), ("api-server", LOCKING, ROW), ("scheduler-2", REFRESH, ROW)],
            "state_update_vs_version_refresh",
        ),
        # Nobody would be left.
        ([("scheduler-1", REFRESH, TUPLE), ("api-server", LOCKING, ROW)], "state_update_vs_version_refresh"),
    ],
)
def test_a_side_that_only_stands_in_a_row_s_queue_is_no_part_of_the_cause(
    sides: list[tuple[str, str, str]], cause: str
) -> None:
    cycle = [
        events.DeadlockSide(pid=pid, component=component, statement=mark, waits_for=waits_for, signature=mark)
        for pid, (component, mark, waits_for) in enumerate(sides)
    ]
    event = events.DeadlockSeen(at=at(10), victim=sides[0][0], context="", sides=cycle)
    (incident,) = check(Block().add(10.2, event).end().view()).incidents
    assert incident.cause == cause
    assert len(incident.witness.tables[0].rows) == len(sides)


def test_each_deadlock_is_an_incident_at_its_own_time() -> None:
    block = Block().add(10.4, deadlock(10)).add(20.4, deadlock(20)).end()
    assert [incident.at_s for incident in check(block.view()).incidents] == [10.0, 20.0]


def test_two_deadlocks_of_the_same_statements_have_the_same_signature() -> None:
    refresh, locking = ("scheduler-1", REFRESH), ("api-server", LOCKING)
    block = Block().add(1, deadlock(1, locking, refresh)).add(2, deadlock(2, ("scheduler-2", REFRESH), locking)).end()
    signatures = {incident.signature for incident in check(block.view()).incidents}
    assert signatures == {f"api-server: {LOCKING} <> scheduler: {REFRESH}"}


def test_the_witness_has_both_statements_and_locks() -> None:
    witness = check(Block().add(10.2, deadlock(10)).end().view()).incidents[0].witness
    assert witness.headline == "PostgreSQL aborted the transaction of api-server while locking tuple (4,13)"
    assert witness.tables[0].rows == (
        ("api-server", "500", "ShareLock", LOCKING),
        ("scheduler-1", "501", "ShareLock", REFRESH),
    )


def test_opportunities_are_the_state_updates_that_were_answered() -> None:
    block = Block().add(1, answered(5), answered(2, code=500), answered(7, code=0), answered(9, operation="run")).end()
    assert check(block.view()).opportunities == 7


def test_without_hollow_workers_opportunities_are_the_finished_tasks() -> None:
    assert check(Block(hollow=False).end(tasks=42).view()).opportunities == 42


def test_hollow_workers_that_nobody_saw_do_not_change_the_unit() -> None:
    block = Block(hollow=False).add(1, events.ObserverBlind(observer="execution_api", reason="gone")).end(tasks=42)
    found = check(block.view())
    assert (found.opportunities, found.blind) == (0, ("block 0: execution_api was blind: gone",))


@pytest.mark.parametrize("observer", ["postgres_log", "database", "execution_api"])
def test_a_blind_observer_makes_the_race_blind(observer: str) -> None:
    block = Block().add(1, events.ObserverBlind(observer=observer, reason="gone")).end()
    assert check(block.view()).blind == (f"block 0: {observer} was blind: gone",)


def test_deadlocks_that_the_log_did_not_show_make_the_race_blind() -> None:
    block = Block().add(10.2, deadlock(10)).add(59, sampled(2)).end()
    assert check(block.view()).blind == ("block 0: PostgreSQL counted 2 deadlocks, its log showed 1",)


def test_counters_that_lag_behind_the_log_are_no_blindness() -> None:
    assert check(Block().add(10.2, deadlock(10)).add(59, sampled(0)).end().view()).blind == ()


def test_while_the_block_runs_the_log_may_lag_behind_the_counters() -> None:
    assert check(Block().add(10, sampled(1)).view()).blind == ()


def test_a_server_that_was_restarted_in_order_goes_on_counting() -> None:
    block = fault(Block().add(5.2, deadlock(5)).add(6, sampled(1)), "postgres", "postgres", 10, 12)
    assert check(block.add(59, sampled(1)).end().view()).blind == ()


def test_a_server_that_lost_its_counters_begins_anew_and_nothing_is_blind_for_that() -> None:
    block = fault(Block().add(5.2, deadlock(5)).add(6, sampled(1)), "postgres", "postgres", 10, 12)
    block.add(13, sampled(0)).add(20.2, deadlock(20)).add(59, sampled(1))
    assert check(block.end().view()).blind == ()


def test_deadlocks_that_the_log_did_not_show_are_missed_across_a_restart() -> None:
    block = Block().add(5.2, deadlock(5)).add(6, sampled(2)).add(13, sampled(0)).add(59, sampled(1))
    assert check(block.end().view()).blind == ("block 0: PostgreSQL counted 3 deadlocks, its log showed 1",)
