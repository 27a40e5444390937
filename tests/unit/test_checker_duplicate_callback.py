"""Duplicate callbacks: a deadline is an incident, its causes are told apart, receipts that are missing are no zero."""

from __future__ import annotations

import pytest

from stress import events
from stress.races.duplicate_callback.checker import EXECUTORS, STORES_S, check
from tests.unit.histories import Block, at, callback, fault, restarted, settled


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


def test_opportunities_are_the_deadlines_whose_callback_ran() -> None:
    block = Block().add(20, callback("a", 1), callback("b", 2)).end(missed=("a", "b", "c"))
    assert check(block.view()).opportunities == 2


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
    assert witness.tables[1].rows == (("19.000 s", "7", "no owner"),)


@pytest.mark.parametrize("observer", ["receipts", "database"])
def test_a_blind_observer_makes_the_race_blind(observer: str) -> None:
    block = Block().add(1, events.ObserverBlind(observer=observer, reason="gone")).end()
    assert check(block.view()).blind == (f"block 0: {observer} was blind: gone",)


def passed(state: str | None) -> events.DeadlinesPassed:
    deadline = events.PassedDeadline(
        id="a", due_at=at(20), handled=True, state=state, trigger=None, trigger_exists=False, owner=None
    )
    return events.DeadlinesPassed(deadlines=[deadline])


def test_callbacks_that_succeeded_without_any_receipt_make_the_race_blind() -> None:
    block = Block().add(60, settled(), passed("success")).end(missed=("a", "b"))
    assert check(block.view()).blind == ("block 0: 2 deadlines were missed and no callback left a receipt",)


def test_callbacks_without_a_receipt_make_a_history_blind_that_does_not_know_their_states() -> None:
    block = Block().add(60, settled()).end(missed=("a",))
    assert check(block.view()).blind == ("block 0: 1 deadlines were missed and no callback left a receipt",)


@pytest.mark.parametrize("ran", [0, 1], ids=["none", "one"])
def test_callbacks_that_were_lost_are_no_blindness_and_no_opportunities(ran: int) -> None:
    block = Block().add(20, *[callback("a", 1)] * ran).add(60, settled(), passed("queued")).end(missed=("a", "b", "c"))
    found = check(block.view())
    assert (found.blind, found.opportunities) == ((), ran)


def test_missed_deadlines_that_nobody_counted_make_the_race_blind() -> None:
    block = Block().add(20, callback("a", 1)).add(66, events.BlockEnded(complete=True))
    assert check(block.view()).blind == ("block 0: the missed deadlines were not counted",)


def test_times_of_receipts_count_and_not_those_of_their_writing() -> None:
    block = Block().add(50, callback("d", 1, second=20), callback("d", 2, second=21)).end(missed=("d",))
    assert check(block.view()).incidents[0].at_s == at(21) - at(0)


# -- under faults ----------------------------------------------------------------------------------------------------


def twice(block: Block, first: tuple[str, float], second: tuple[str, float]) -> str:
    """The cause where one trigger ran in these triggerers (two processes) at these seconds."""
    for pid, (component, second_s) in enumerate((first, second), start=104):
        block.add(second_s, callback("d", 7, component, second_s, pid))
    found = check(block.end(missed=("d",)).view())
    (incident,) = (*found.incidents, *found.excused)
    assert bool(found.excused) is (incident.cause == "not_stored")
    return incident.cause


ONE, TWO = "triggerer-1", "triggerer-2"


@pytest.mark.parametrize("kind", ["pause", "cutoff"])
def test_a_callback_whose_triggerer_fell_silent_before_it_could_store_the_success_is_excused(kind: str) -> None:
    assert twice(fault(Block(), kind, ONE, 20.5, 45), (ONE, 20.2), (TWO, 33)) == "not_stored"


def test_a_callback_that_began_while_its_triggerer_was_cut_off_is_excused() -> None:
    assert twice(fault(Block(), "cutoff", ONE, 19, 45), (ONE, 20.2), (TWO, 33)) == "not_stored"


@pytest.mark.parametrize("kind", ["pause", "cutoff"])
def test_a_callback_whose_triggerer_had_the_time_to_store_the_success_is_not_excused(kind: str) -> None:
    block = fault(Block(), kind, ONE, 20.2 + STORES_S + 0.1, 55)
    assert twice(block, (ONE, 20.2), (TWO, 38)) == "reassigned"


def test_a_triggerer_that_runs_its_own_callback_again_when_it_wakes_up_is_not_excused() -> None:
    block = fault(Block(), "pause", ONE, 20.5, 34).add(20.2, callback("d", 7, ONE, 20.2))
    block.add(34.2, callback("d", 7, ONE, 34.2))
    assert [each.cause for each in check(block.end(missed=("d",)).view()).incidents] == ["reassigned"]


def test_a_trigger_that_a_triggerer_goes_on_with_when_it_wakes_up_was_reassigned() -> None:
    assert twice(fault(Block(), "pause", ONE, 19, 34), (TWO, 32), (ONE, 34.2)) == "reassigned"


def test_a_trigger_that_both_run_when_one_wakes_up_was_reassigned() -> None:
    assert twice(fault(Block(), "pause", ONE, 19, 34), (ONE, 34.1), (TWO, 34.3)) == "reassigned"


def test_a_callback_whose_triggerer_was_killed_before_it_could_store_the_success_is_excused() -> None:
    block = restarted(fault(Block(), "kill", ONE, 20.5, 20.5), ONE, 20.8, 30)
    assert twice(block, (ONE, 20.2), (TWO, 33)) == "not_stored"


def test_a_callback_that_runs_again_in_the_successor_of_a_killed_triggerer_is_excused() -> None:
    block = restarted(fault(Block(), "kill", ONE, 20.5, 20.5), ONE, 20.8, 22)
    assert twice(block, (ONE, 20.2), (ONE, 23)) == "not_stored"


def test_a_triggerer_that_was_asked_to_end_could_have_stored_the_success() -> None:
    block = restarted(fault(Block(), "restart", ONE, 20.5, 20.5), ONE, 20.8, 22)
    assert twice(block, (ONE, 20.2), (TWO, 23)) == "reassigned"


def test_a_triggerer_that_was_asked_to_end_gives_its_triggers_up_before_its_process_has_ended() -> None:
    block = restarted(fault(Block(), "restart", ONE, 20.3, 23), ONE, 23, 25)
    assert twice(block, (ONE, 20.2), (TWO, 21.6)) == "reassigned"


def test_a_triggerer_that_lost_its_sessions_before_it_could_store_the_success_is_excused() -> None:
    block = restarted(fault(Block(), "sessions", "postgres", 21.5, 21.6), ONE, 25, 26)
    assert twice(block, (ONE, 20.2), (TWO, 24)) == "not_stored"


def test_a_pause_delays_the_exit_of_a_triggerer_that_lost_its_sessions() -> None:
    block = fault(Block(), "sessions", "postgres", 21.5, 21.6)
    block = restarted(fault(block, "pause", ONE, 30, 50, number=1), ONE, 51, 53)
    assert twice(block, (ONE, 20.2), (TWO, 29)) == "not_stored"


def test_a_triggerer_that_ends_long_after_a_fault_was_not_ended_by_it() -> None:
    block = restarted(fault(Block(), "sessions", "postgres", 21.5, 21.6), ONE, 51, 53)
    assert twice(block, (ONE, 20.2), (TWO, 24)) == "two_triggerers"


def test_two_that_run_it_at_once_are_not_explained_by_the_end_of_one() -> None:
    block = restarted(fault(Block(), "restart", ONE, 20.3, 23), ONE, 23, 25)
    assert twice(block, (ONE, 20.2), (TWO, 20.9)) == "two_triggerers"


def test_two_triggerers_that_take_one_trigger_at_once_do_so_without_the_fault() -> None:
    assert twice(fault(Block(), "pause", ONE, 21, 22), (ONE, 20.2), (TWO, 20.9)) == "two_triggerers"


def test_a_pause_that_is_too_short_for_a_takeover_explains_nothing() -> None:
    assert twice(fault(Block(), "pause", ONE, 20.3, 24.2), (ONE, 20.2), (TWO, 24.5)) == "two_triggerers"


def test_a_fault_long_before_explains_nothing() -> None:
    assert twice(fault(Block(), "pause", ONE, 2, 17), (ONE, 20.2), (TWO, 20.9)) == "two_triggerers"


def test_a_fault_of_a_scheduler_explains_nothing() -> None:
    assert twice(fault(Block(), "pause", "scheduler-1", 20.5, 45), (ONE, 20.2), (TWO, 33)) == "two_triggerers"


def test_a_slow_network_silences_nobody() -> None:
    assert twice(fault(Block(), "slow", ONE, 10, 45), (ONE, 20.2), (TWO, 20.9)) == "two_triggerers"


def test_a_triggerer_that_ended_only_after_both_executions_explains_nothing() -> None:
    block = restarted(fault(Block(), "kill", ONE, 20.3, 20.3), ONE, 20.8, 30)
    assert twice(block, (ONE, 20.2), (TWO, 20.5)) == "two_triggerers"


def test_a_kill_after_both_executions_explains_nothing() -> None:
    block = Block().add(20, callback("d", 7, ONE, 20), callback("d", 7, TWO, 20.5))
    block = restarted(fault(block, "kill", ONE, 21, 21), ONE, 21.2, 30)
    assert check(block.end(missed=("d",)).view()).incidents[0].cause == "two_triggerers"


def test_a_second_trigger_is_not_explained_by_a_fault() -> None:
    block = fault(Block(), "pause", ONE, 20.5, 45).add(33, callback("d", 7, ONE, 20.2), callback("d", 8, TWO, 33))
    assert check(block.end(missed=("d",)).view()).incidents[0].cause == "two_schedulers"


def test_one_takeover_does_not_explain_another_execution() -> None:
    block = fault(Block(), "pause", ONE, 20.5, 45).add(34, callback("d", 7, TWO, 20.2), callback("d", 7, ONE, 20.3))
    block.add(34, callback("d", 7, TWO, 33))
    assert check(block.end(missed=("d",)).view()).incidents[0].cause == "two_triggerers"


def test_the_witness_has_the_faults_before_the_last_execution() -> None:
    block = fault(fault(Block(), "pause", ONE, 20.5, 45), "kill", "api-server", 50, 50, number=1)
    block.add(33, callback("d", 7, ONE, 20.2), callback("d", 7, TWO, 33, 105))
    witness = check(block.end(missed=("d",)).view()).excused[0].witness
    assert witness.headline == (
        "the callback of deadline d ran 2 times, in 1 trigger(s), which changed hands under a fault "
        "that hit its triggerer before it could store the success"
    )
    assert witness.tables[-1].rows == (("20.500 s", "45.000 s", "pause", ONE, ""),)


def test_two_executors_that_were_given_one_synchronous_callback_are_a_cause_of_their_own() -> None:
    block = Block().add(21.0, callback("d", None, "scheduler-1"), callback("d", None, "scheduler-2", 20.5))
    (incident,) = check(block.end(missed=("d",)).view()).incidents
    assert incident.cause == EXECUTORS
    assert incident.witness.headline == "the callback of deadline d ran 2 times, by executors"


def test_one_executor_that_was_given_a_synchronous_callback_is_no_incident() -> None:
    result = check(Block().add(21.0, callback("d", None, "scheduler-1")).end(missed=("d",)).view())
    assert (result.incidents, result.opportunities) == ((), 1)
