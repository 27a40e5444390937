"""fail_fast: a failure that overwrites a success or deadlocks with another report of its run."""

from __future__ import annotations

from stress.races.fail_fast.checker import DEADLOCK, OVERWRITTEN, check
from tests.unit.histories import Block, counted, deadlock, left, report, settled

OF_FAIL_FAST = (("api-server", "UPDATE task_instance SET state"), ("api-server", "SELECT task_instance FOR UPDATE"))


def mixed() -> Block:
    """A run whose two tasks end together."""
    return Block().add(
        9.0, report(5.0, "fail_fast_mixed", "fails", state="failed"), report(5.02, "fail_fast_mixed", "succeeds")
    )


def test_an_acknowledged_success_that_is_stored_as_failed_is_an_incident() -> None:
    block = mixed().add(60.0, settled(), counted(left("fail_fast_mixed", "fails"), left("fail_fast_mixed", "succeeds")))
    result = check(block.end().view())
    (incident,) = result.incidents
    assert (incident.cause, result.opportunities) == (OVERWRITTEN, 1)
    assert [row[2:] for row in incident.witness.tables[0].rows] == [
        ("fails", "failed", "204"),
        ("succeeds", "success", "204"),
    ]


def test_a_failure_that_stays_failed_is_none() -> None:
    block = mixed().add(60.0, settled(), counted(left("fail_fast_mixed", "fails")))
    assert check(block.end().view()).incidents == ()


def test_a_deadlock_of_the_failure_with_another_report_is_an_incident() -> None:
    block = mixed().add(11.0, deadlock(10.0, *OF_FAIL_FAST), deadlock(10.5))
    (incident,) = check(block.end().view()).incidents
    assert (incident.cause, incident.at_s) == (DEADLOCK, 10.0)


def test_ends_of_two_runs_are_no_opportunity() -> None:
    block = Block().add(9.0, report(5.0, "fail_fast_both", run="a"), report(5.0, "fail_fast_both", run="b"))
    assert check(block.end().view()).opportunities == 0
