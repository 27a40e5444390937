"""Stale events of triggers: written over a mark, or into a time-out."""

from __future__ import annotations

import pytest

from stress import events
from stress.races.stale_trigger_event.checker import FAIL_METHOD, MARKING, TIMEOUT, check
from stress.results import BlockCheck
from tests.unit.histories import Block, counted, left, report, request, settled


def marked(*unfinished: events.UnfinishedTask, code: int = 200) -> BlockCheck:
    """A block in which a deferred task was marked failed."""
    block = Block().add(9.0, request(5.0, "mark_task", "event_marked", "t", state="failed", code=code))
    return check(block.add(60.0, settled(), counted(*unfinished)).end().view())


def test_a_marked_task_that_ends_as_a_success_is_an_incident() -> None:
    result = marked()
    (incident,) = result.incidents
    assert (incident.cause, result.opportunities) == (MARKING, 1)


def test_a_marked_task_that_is_scheduled_again_is_an_incident() -> None:
    (incident,) = marked(left("event_marked", state="scheduled")).incidents
    assert incident.cause == MARKING


def test_a_marked_task_that_stays_failed_is_none() -> None:
    assert marked(left("event_marked")).incidents == ()


def test_a_mark_that_was_refused_promises_nothing() -> None:
    result = marked(code=409)
    assert (result.incidents, result.opportunities) == ((), 0)


def test_marks_are_not_judged_before_the_states_are_counted() -> None:
    block = Block().add(9.0, request(5.0, "mark_task", "event_marked", "t", state="failed"))
    assert check(block.view()).incidents == ()


@pytest.mark.parametrize(
    ("method", "event", "incidents"),
    [(FAIL_METHOD, True, 1), (FAIL_METHOD, False, 0), ("execute_complete", True, 0)],
    ids=["of both", "timed out", "fired"],
)
def test_a_task_that_is_resumed_to_fail_with_an_event_is_an_incident(method: str, event: bool, incidents: int) -> None:
    block = Block().add(9.0, report(5.0, "event_timed_out", next_method=method, next_event=event))
    result = check(block.end().view())
    assert [incident.cause for incident in result.incidents] == [TIMEOUT] * incidents
    assert result.opportunities == 1


def test_a_report_that_is_made_again_is_counted_once() -> None:
    reports = [report(second, "event_timed_out", next_method=FAIL_METHOD, next_event=True) for second in (5.0, 5.5)]
    result = check(Block().add(9.0, *reports).end().view())
    assert (len(result.incidents), result.opportunities) == (1, 1)
