"""Asset deadlocks: cycles in the queue of asset events, by the assets in their statements, against reports together."""

from __future__ import annotations

import pytest

from stress import events
from stress.races.asset_deadlock.checker import ACROSS, WITHIN, check
from tests.unit.histories import Block, at, deadlock, report


def cycle(*assets: int, second: float = 10.0) -> events.DeadlockSeen:
    """A deadlock of reports that insert rows of these assets, as PostgreSQL's log has it."""
    sides = [
        events.DeadlockSide(
            pid=500 + asset,
            component="api-server",
            statement=f"INSERT INTO asset_dag_run_queue (asset_id, target_dag_id) VALUES ({asset}, 'consumer')",
            waits_for="ShareLock on transaction 7",
            signature="INSERT asset_dag_run_queue",
        )
        for asset in assets
    ]
    return events.DeadlockSeen(at=at(second), victim="api-server", context="", sides=sides)


@pytest.mark.parametrize(("assets", "cause"), [((1, 2), ACROSS), ((3, 3), WITHIN), ((1, 2, 3), ACROSS)])
def test_the_assets_in_the_statements_are_the_cause(assets: tuple[int, ...], cause: str) -> None:
    (incident,) = check(Block().add(11.0, cycle(*assets)).end().view()).incidents
    assert (incident.cause, incident.at_s) == (cause, 10.0)


def test_a_deadlock_of_something_else_is_no_incident() -> None:
    assert check(Block().add(11.0, deadlock()).end().view()).incidents == ()


def test_opportunities_are_reports_with_the_same_outlets_within_a_tenth_of_a_second() -> None:
    block = Block()
    block.add(9.0, report(5.0, "outlets_0", run="a"), report(5.09, "outlets_0", run="b"))
    block.add(9.0, report(5.05, "outlets_1", run="c"), report(5.25, "outlets_0", run="d"))
    block.add(9.0, report(5.0, "minute_chain", run="e"), report(5.01, "minute_chain", run="f"))
    assert check(block.end().view()).opportunities == 1


def test_a_request_that_is_made_again_is_no_other_report() -> None:
    block = Block().add(9.0, report(5.0, "outlets_0", code=500), report(5.08, "outlets_0"))
    assert check(block.end().view()).opportunities == 0


@pytest.mark.parametrize("observer", ["postgres_log", "execution_api"])
def test_without_the_log_or_the_reports_the_race_is_blind(observer: str) -> None:
    block = Block().add(5.0, events.ObserverBlind(observer=observer, reason="gone"))
    assert check(block.end().view()).blind == (f"block 0: {observer} was blind: gone",)
