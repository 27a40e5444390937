"""Lost marks: what the mark of a run overwrites, what overwrites it, and its deadlocks."""

from __future__ import annotations

from stress import events
from stress.races.lost_mark.checker import DEADLOCK, MARK, SUCCESS, check
from stress.results import BlockCheck
from tests.unit.histories import Block, counted, deadlock, left, report, request, settled

FAILED = events.UnfinishedRun(dag="marked_runs", run="r", state="failed", by_state={"failed": 1})
OF_MARKING = (
    ("scheduler-1", "UPDATE task_instance SET state, scheduled_dttm"),
    ("api-server", "UPDATE dag_run SET end_date, state"),
)


def marked(
    *unfinished: events.UnfinishedTask, runs: tuple[events.UnfinishedRun, ...] = (FAILED,), code: int = 200
) -> BlockCheck:
    """A block in which a task reported success and its run was marked failed."""
    block = Block().add(
        9.0, report(5.0, "marked_runs"), request(4.98, "mark_run", "marked_runs", state="failed", code=code)
    )
    return check(block.add(60.0, settled(), counted(*unfinished, runs=runs)).end().view())


def test_a_success_that_the_mark_overwrote_is_an_incident() -> None:
    result = marked(left("marked_runs"))
    (incident,) = result.incidents
    assert (incident.cause, result.opportunities) == (SUCCESS, 1)
    assert [row[1] for row in incident.witness.tables[0].rows] == ["user", "worker", "api-server", "api-server"]


def test_a_success_that_stays_one_is_none() -> None:
    assert marked(left("marked_runs", "other")).incidents == ()


def test_a_run_that_is_not_failed_in_the_end_was_marked_in_vain() -> None:
    (incident,) = marked(runs=()).incidents
    assert incident.cause == MARK


def test_a_mark_that_was_refused_promises_nothing() -> None:
    result = marked(left("marked_runs"), runs=(), code=409)
    assert (result.incidents, result.opportunities) == ((), 0)


def test_a_deadlock_of_the_mark_with_scheduling_is_an_incident() -> None:
    block = Block().add(11.0, deadlock(10.0, *OF_MARKING), deadlock(10.5))
    (incident,) = check(block.end().view()).incidents
    assert (incident.cause, incident.at_s) == (DEADLOCK, 10.0)


def test_a_report_that_came_after_the_mark_and_was_refused_is_an_opportunity_and_no_incident() -> None:
    block = Block().add(
        9.0, report(5.0, "marked_runs", code=409), request(4.9, "mark_run", "marked_runs", state="failed")
    )
    result = check(block.add(60.0, settled(), counted(left("marked_runs"), runs=(FAILED,))).end().view())
    assert (result.incidents, result.opportunities) == ((), 1)
