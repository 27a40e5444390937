"""Duplicate callbacks: a deadline is an incident, its causes are told apart, receipts that are missing are no zero."""

from __future__ import annotations

import pytest
from histories import Block, at, callback

from stress import events
from stress.checkers.duplicate_callback import check


def test_a_deadline_whose_callback_ran_once_is_no_incident() -> None:
    block = Block().add(20, callback("d", 1)).end(missed=("d",))
    assert check(block.view()).incidents == ()


@pytest.mark.parametrize(
    ("triggers", "cause"),
    [
        ((1, 2), "two_schedulers"),
        ((1, 2, 3), "two_schedulers"),
        ((1, 1), "two_triggerers"),
        ((1, 1, 1), "two_triggerers"),
        ((1, 1, 2), "two_schedulers_and_two_triggerers"),
        ((1, 1, 2, 2), "two_schedulers_and_two_triggerers"),
    ],
)
def test_the_cause_is_told_by_the_triggers(triggers: tuple[int, ...], cause: str) -> None:
    block = Block().add(20, *(callback("d", trigger) for trigger in triggers)).end(missed=("d",))
    assert [incident.cause for incident in check(block.view()).incidents] == [cause]


def test_a_deadline_is_one_incident_however_often_its_callback_ran() -> None:
    block = Block().add(20, *(callback("d", 1) for _ in range(5)), callback("e", 2)).end(missed=("d", "e"))
    assert len(check(block.view()).incidents) == 1


def test_the_incident_is_when_the_callback_ran_a_second_time() -> None:
    late, early = callback("d", 1, second=25), callback("d", 2, second=21)
    assert check(Block().add(26, late, early).end(missed=("d",)).view()).incidents[0].at_s == 25.0


def test_opportunities_are_the_missed_deadlines() -> None:
    block = Block().add(20, callback("a", 1), callback("b", 2)).end(missed=("a", "b", "c"))
    assert check(block.view()).opportunities == 3


def test_while_the_block_runs_opportunities_are_the_deadlines_with_a_receipt() -> None:
    assert check(Block().add(20, callback("a", 1), callback("a", 1), callback("b", 2)).view()).opportunities == 2


def test_the_witness_has_each_receipt_with_trigger_and_process() -> None:
    block = Block().add(20, callback("d", 7, "triggerer-1", 20), callback("d", 7, "triggerer-2", 20.5))
    witness = check(block.end(missed=("d",)).view()).incidents[0].witness
    assert witness.headline == "the callback of deadline d ran 2 times, in 1 trigger(s)"
    assert witness.tables[0].rows == (
        ("20.000 s", "7", "triggerer-1", "104"),
        ("20.500 s", "7", "triggerer-2", "104"),
    )


def test_the_witness_has_who_owned_the_trigger_when() -> None:
    owned = events.TriggerOwnerChanged(trigger=7, callback=True, owner=None)
    other = events.TriggerOwnerChanged(trigger=8, callback=True, owner="triggerer-2")
    block = Block().add(19, owned, other).add(20, callback("d", 7), callback("d", 7))
    witness = check(block.end(missed=("d",)).view()).incidents[0].witness
    assert witness.tables[1].rows == (("19.000 s", "7", "nobody"),)


@pytest.mark.parametrize("observer", ["receipts", "database"])
def test_a_blind_observer_makes_the_race_blind(observer: str) -> None:
    block = Block().add(1, events.ObserverBlind(observer=observer, reason="gone")).end()
    assert check(block.view()).blind == (f"block 0: {observer} was blind: gone",)


def test_missed_deadlines_without_any_receipt_make_the_race_blind() -> None:
    assert check(Block().end(missed=("a", "b")).view()).blind == (
        "block 0: 2 deadlines were missed and no callback left a receipt",
    )


def test_callbacks_of_which_most_have_not_run_make_the_race_blind() -> None:
    block = Block().add(20, callback("a", 1)).end(missed=("a", "b", "c"))
    assert check(block.view()).blind == ("block 0: only 1 of 3 callbacks of missed deadlines had run",)


def test_callbacks_of_which_half_have_run_are_enough() -> None:
    assert check(Block().add(20, callback("a", 1)).end(missed=("a", "b")).view()).blind == ()


def test_missed_deadlines_that_nobody_counted_make_the_race_blind() -> None:
    block = Block().add(20, callback("a", 1)).add(66, events.BlockEnded(complete=True))
    assert check(block.view()).blind == ("block 0: the missed deadlines were not counted",)


def test_times_of_receipts_count_and_not_those_of_their_writing() -> None:
    block = Block().add(50, callback("d", 1, second=20), callback("d", 2, second=21)).end(missed=("d",))
    assert check(block.view()).incidents[0].at_s == at(21) - at(0)
