"""Lost clears: answered as done, and the task of an ended run has no state."""

from __future__ import annotations

import pytest

from stress import events
from stress.races.lost_clear.checker import ENDED_RUN, check
from stress.results import BlockCheck
from tests.unit.histories import Block, counted, left, report, request, settled


def cleared(*unfinished: events.UnfinishedTask, code: int = 200, dag: str = "cleared") -> BlockCheck:
    """A block in which the first task of one run was cleared."""
    block = Block().add(9.0, report(4.9, dag, "last"), request(5.0, "clear_task", dag, "first", code=code))
    return check(block.add(60.0, settled(), counted(*unfinished)).end().view())


def test_a_cleared_task_without_a_state_in_an_ended_run_is_an_incident() -> None:
    result = cleared(left("cleared", "first", state="none", run_state="success"))
    (incident,) = result.incidents
    assert (incident.cause, result.opportunities) == (ENDED_RUN, 1)


@pytest.mark.parametrize(
    "task",
    [
        left("cleared", "first", state="none", run_state="running"),
        left("cleared", "first", state="failed", run_state="success"),
        left("cleared", "last", state="none", run_state="success"),
        left("cleared", "first", state="none", run_state="success", run="other"),
        left("cleared", "first", state="none", run_state="success", earlier_try=True),
    ],
    ids=["the run is under way", "it ran", "another task", "another run", "an earlier try"],
)
def test_what_still_runs_or_was_not_cleared_is_none(task: events.UnfinishedTask) -> None:
    assert cleared(task).incidents == ()


@pytest.mark.parametrize("code", [0, 409, 500])
def test_a_clear_that_was_not_answered_as_done_promises_nothing(code: int) -> None:
    result = cleared(left("cleared", "first", state="none", run_state="success"), code=code)
    assert (result.incidents, result.opportunities) == ((), 0)


def test_clears_of_another_load_are_not_counted() -> None:
    assert cleared(dag="churn_0").opportunities == 0


@pytest.mark.parametrize(("second", "opportunities"), [(3.0, 1), (2.9, 0), (7.0, 1), (7.1, 0)])
def test_only_a_clear_near_the_end_of_its_run_is_an_opportunity(second: float, opportunities: int) -> None:
    block = Block().add(9.0, report(5.0, "cleared", "last"), request(second, "clear_task", "cleared", "first"))
    assert check(block.end().view()).opportunities == opportunities


def test_a_clear_of_a_run_whose_last_task_did_not_report_is_no_opportunity() -> None:
    assert check(Block().add(9.0, request(5.0, "clear_task", "cleared", "first")).end().view()).opportunities == 0
