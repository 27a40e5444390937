"""False failures: what a worker was told is stored as success, and is stored as failed."""

from __future__ import annotations

import pytest

from stress import events
from stress.races.false_failed.checker import DEADLOCK, OTHER, check
from tests.unit.histories import Block, counted, deadlock, left, report, settled


def ended(block: Block, *unfinished: events.UnfinishedTask) -> Block:
    return block.add(60.0, settled(), counted(*unfinished)).end()


def test_a_success_that_is_stored_as_failed_is_an_incident() -> None:
    block = ended(Block().add(9.0, report(5.0, "outlets_0")), left("outlets_0"))
    result = check(block.view())
    (incident,) = result.incidents
    assert (incident.cause, round(incident.at_s, 2), result.opportunities) == (OTHER, 5.05, 1)


@pytest.mark.parametrize(("second", "cause"), [(5.02, DEADLOCK), (4.9, OTHER), (5.2, OTHER)])
def test_a_deadlock_while_the_report_waits_for_its_answer_is_the_cause(second: float, cause: str) -> None:
    block = ended(Block().add(9.0, report(5.0, "outlets_0"), deadlock(second)), left("outlets_0"))
    (incident,) = check(block.view()).incidents
    assert incident.cause == cause


@pytest.mark.parametrize("code", [0, 409, 500])
def test_a_success_that_was_refused_or_not_answered_is_none(code: int) -> None:
    result = check(ended(Block().add(9.0, report(5.0, "outlets_0", code=code)), left("outlets_0")).view())
    assert (result.incidents, result.opportunities) == ((), 0)


def test_a_success_that_is_stored_is_none() -> None:
    result = check(ended(Block().add(9.0, report(5.0, "outlets_0"))).view())
    assert (result.incidents, result.opportunities) == ((), 1)


def test_a_fail_fast_dag_is_another_race_s() -> None:
    block = ended(Block().add(9.0, report(5.0, "fail_fast_mixed")), left("fail_fast_mixed"))
    assert check(block.view()).incidents == ()


def test_states_that_were_not_counted_are_blindness() -> None:
    block = Block()
    block.add(60.0, events.LoadStopped(seconds=60.0)).add(66.0, events.BlockEnded(complete=True))
    assert check(block.view()).blind == ("block 0: the tasks were not counted at its end",)
