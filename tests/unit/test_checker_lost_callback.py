"""Lost callbacks: late is not lost, where a callback was lost is told by its rows, and what is unknown is blind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress import events
from stress.races.lost_callback.checker import CAUSES, LOOK_S, cause_of, check
from stress.results import BlockCheck
from tests.unit.histories import LOAD_S, Block, at, callback, fault, settled

END_S = LOAD_S + 100


def passed(deadline: str = "d", due: float = 20.0, **fields: Any) -> events.PassedDeadline:
    """A deadline that nobody handled, unless `fields` say otherwise."""
    known: dict[str, Any] = {"handled": False, "state": None, "trigger": None, "trigger_exists": False, "owner": None}
    return events.PassedDeadline(id=deadline, due_at=at(due), **known | fields)


def owned(**fields: Any) -> events.PassedDeadline:
    """A handled deadline whose trigger a living triggerer owns, unless `fields` say otherwise."""
    known: dict[str, Any] = {
        "handled": True,
        "state": "queued",
        "trigger": 7,
        "trigger_exists": True,
        "owner": "triggerer-1",
        "owner_silent_s": 1.0,
    }
    return passed(**known | fields)


def looked(
    *deadlines: events.PassedDeadline, block: Block | None = None, how: events.BlockSettled | None = None
) -> BlockCheck:
    """The result on a block whose last look found these deadlines."""
    block = block or Block()
    block.add(END_S, how or settled(callbacks=1), events.DeadlinesPassed(deadlines=list(deadlines)))
    return check(block.end().view())


@pytest.mark.parametrize(
    ("deadline", "cause"),
    [
        (passed(), "never_handled"),
        (passed(handled=True, state="queued"), "no_trigger"),
        (passed(handled=True, state="queued", trigger=7), "no_trigger"),
        (owned(owner=None, owner_silent_s=None), "unassigned"),
        (owned(owner_silent_s=31.0), "owner_dead"),
        (owned(owner_ended=True), "owner_dead"),
        (owned(owner_silent_s=None), "owner_dead"),
        (owned(), "owned_not_run"),
        (owned(state="running"), "owned_not_run"),
        (passed(handled=True, state="success"), "ended_without_receipt"),
        (passed(handled=True, state="failed"), "ended_without_receipt"),
    ],
)
def test_the_cause_is_told_by_the_rows_that_are_left(deadline: events.PassedDeadline, cause: str) -> None:
    block = Block().add(20, callback("another", 1))
    assert [incident.cause for incident in looked(deadline, block=block).incidents] == [cause]


def test_a_callback_that_ran_is_not_lost_however_late() -> None:
    block = Block().add(LOAD_S + 90, callback("d", 7, second=LOAD_S + 90))
    assert looked(owned(), block=block).incidents == ()


def test_a_callback_that_ran_after_the_database_was_asked_is_not_lost() -> None:
    # Receipts are read last: what is in them is not missed because of the order of the last looks.
    block = Block().add(END_S, settled(callbacks=1), events.DeadlinesPassed(deadlines=[owned()]))
    block.add(END_S + 0.1, callback("d", 7, second=END_S - 0.1))
    assert check(block.end().view()).incidents == ()


def test_a_deadline_that_passed_just_before_the_last_look_is_neither_lost_nor_an_opportunity() -> None:
    found = looked(passed(due=END_S - 26.9), passed("e", due=END_S - 27.1))
    assert (len(found.incidents), found.opportunities) == (1, 1)


def test_opportunities_are_deadlines_that_passed_handled_or_not() -> None:
    block = Block().add(20, callback("ran", 1), callback("gone", 1))
    found = looked(passed("never"), owned(deadline="waits"), owned(deadline="ran"), block=block)
    assert found.opportunities == 4


def test_a_block_that_still_changed_at_its_end_is_blind_for_what_waited() -> None:
    block = Block().add(20, callback("another", 1))
    found = looked(owned(), block=block, how=settled(callbacks=1, unchanged_s=26.0))
    assert found.incidents == ()
    assert found.blind == (
        "block 0: 1 callbacks had not run when the settling time was over, and something had changed 26 s before, "
        "where 27 s without a change are needed to distinguish late from lost",
    )


def test_a_block_that_still_changed_at_its_end_shows_what_ended_without_a_receipt() -> None:
    block = Block().add(20, callback("another", 1))
    ended = passed(handled=True, state="failed")
    found = looked(ended, block=block, how=settled(callbacks=1, unchanged_s=1.0))
    assert [incident.cause for incident in found.incidents] == ["ended_without_receipt"]


def test_a_block_in_which_nothing_waits_any_more_has_settled_at_once() -> None:
    # A callback without a trigger waits for nothing any more.
    found = looked(passed(handled=True, state="queued"), how=settled(unchanged_s=0.5))
    assert ([incident.cause for incident in found.incidents], found.blind) == (["no_trigger"], ())


def test_callbacks_that_all_succeeded_without_a_receipt_are_blindness() -> None:
    found = looked(passed(handled=True, state="success"))
    assert found.incidents == ()
    assert found.blind == ("block 0: callbacks succeeded, by the database, and none left a receipt",)


def test_all_callbacks_may_be_lost() -> None:
    assert len(looked(passed("a"), passed("b")).incidents) == 2


def test_deadlines_that_nobody_counted_make_the_race_blind() -> None:
    block = Block().add(66, events.BlockEnded(complete=True))
    assert check(block.view()).blind == ("block 0: the deadlines that passed were not counted",)


@pytest.mark.parametrize("observer", ["receipts", "database"])
def test_a_blind_observer_makes_the_race_blind(observer: str) -> None:
    block = Block().add(1, events.ObserverBlind(observer=observer, reason="gone")).end()
    assert check(block.view()).blind == (f"block 0: {observer} was blind: gone",)


def test_the_incident_is_when_the_deadline_passed() -> None:
    assert looked(passed(due=21.5)).incidents[0].at_s == pytest.approx(21.5)


def test_the_witness_has_the_rows_the_owners_and_the_faults() -> None:
    block = fault(Block(), "pause", "triggerer-1", 18, 30)
    block.add(19, events.TriggerOwnerChanged(trigger=7, callback=True, owner="triggerer-1"))
    block.add(19, events.TriggerOwnerChanged(trigger=8, callback=True, owner="triggerer-2"))
    witness = looked(owned(owner_silent_s=131.0), block=block).incidents[0].witness
    rows, owners, faults = witness.tables
    assert ("160.000 s", "owner of the trigger: triggerer-1, last heartbeat 131.0 s before") in rows.rows
    assert owners.rows == (("19.000 s", "7", "triggerer-1"),)
    assert faults.rows == (("18.000 s", "30.000 s", "pause", "triggerer-1", ""),)


@given(
    handled=st.booleans(),
    state=st.sampled_from([None, "scheduled", "pending", "queued", "running", "success", "failed"]),
    trigger=st.none() | st.integers(1, 9),
    exists=st.booleans(),
    owner=st.none() | st.just("triggerer-1"),
    ended=st.booleans(),
    silent_s=st.none() | st.floats(0, 1000),
)
def test_every_row_has_a_known_cause(
    handled: bool,
    state: str | None,
    trigger: int | None,
    exists: bool,
    owner: str | None,
    ended: bool,
    silent_s: float | None,
) -> None:
    deadline = passed(handled=handled, state=state, trigger=trigger, trigger_exists=exists, owner=owner)
    assert cause_of(deadline) in CAUSES
    assert cause_of(passed(owner_ended=ended, owner_silent_s=silent_s)) in CAUSES


@pytest.mark.parametrize(("due", "lost"), [(END_S - 4, 1), (END_S - LOOK_S + 0.5, 0)])
def test_where_nothing_waits_any_more_no_deadline_can_come_late(due: float, lost: int) -> None:
    block = Block().add(20, callback("another", 1))
    found = looked(passed(due=due, handled=True, state="queued"), block=block, how=settled(unchanged_s=0.5))
    assert (len(found.incidents), found.opportunities, found.blind) == (lost, lost + 1, ())
