"""Out-of-order frames: one incident a life of a runner, its cause told apart, and a standstill is no repair."""

from __future__ import annotations

import pytest

from stress import events
from stress.races.out_of_order_frame.checker import AFTER_FAULT_S, DEATH_AFTER_S, LOOP_STOPPED_S, UNANSWERED_S, check
from stress.results import Incident
from tests.unit.histories import LOAD_S, Block, at, fault
from tests.unit.histories import restarted as restart


def frame_error(second: float, error: str = "out_of_order", component: str = "triggerer-1") -> events.AnyEvent:
    got, expected = (555, 556) if error == "out_of_order" else (None, None)
    return events.FrameError(at=at(second), component=component, error=error, got=got, expected=expected, line=error)


def cancelled(second: float, *, in_request: bool = True, component: str = "triggerer-1") -> events.AnyEvent:
    return events.CancellationDelivered(
        at=at(second), component=component, pid=104, trigger=9, in_request=in_request, next_frame=556
    )


def died(second: float, component: str = "triggerer-1") -> events.AnyEvent:
    return events.RunnerDied(at=at(second), component=component)


def restarted(block: Block, second: float, pid: int = 900) -> Block:
    """The first triggerer ends and is started again."""
    block.add(second, events.ComponentExited(component="triggerer-1", pid=104, code=1))
    return block.add(second, events.ComponentStarted(component="triggerer-1", pid=pid, restarts=1))


def told(second: float, polls: int, active: int = 8) -> events.AnyEvent:
    return events.TriggersProgressed(at=at(second), component="triggerer-1", pid=300, polls=polls, active=active)


def polling(block: Block, begin: float, end: float, polls: int, step: int = 4) -> int:
    """A runner that ticks twice a second with `step` polls a tick; the number of its last."""
    for half in range(int((end - begin) * 2) + 1):
        polls += step
        block.add(begin + half / 2, told(begin + half / 2, polls))
    return polls


def incidents(block: Block) -> tuple[Incident, ...]:
    return check(block.end().view()).incidents


def causes(block: Block) -> list[str]:
    return [incident.cause for incident in incidents(block)]


def test_a_frame_lost_after_a_cancellation_in_a_request_is_cancellation() -> None:
    assert causes(Block().add(10, cancelled(10), frame_error(10.2))) == ["cancellation"]


def test_a_frame_lost_beside_a_foreign_loop_is_a_foreign_thread() -> None:
    assert causes(Block().add(10, frame_error(9.9, "foreign_loop"), frame_error(10.2))) == ["foreign_thread"]


def test_a_foreign_loop_alone_is_a_foreign_thread() -> None:
    assert causes(Block().add(10, frame_error(10, "foreign_loop"))) == ["foreign_thread"]


def test_a_frame_lost_without_a_known_reason_is_unexplained() -> None:
    assert causes(Block().add(10, frame_error(10))) == ["unexplained"]


def test_a_cancellation_between_requests_explains_nothing() -> None:
    assert causes(Block().add(10, cancelled(9.9, in_request=False), frame_error(10))) == ["unexplained"]


def test_a_cancellation_in_another_triggerer_explains_nothing() -> None:
    assert causes(Block().add(10, cancelled(9.9, component="triggerer-2"), frame_error(10))) == ["unexplained"]


def test_a_cancellation_long_before_explains_nothing() -> None:
    assert causes(Block().add(5, cancelled(5)).add(30, frame_error(30))) == ["unexplained"]


def test_a_runner_that_died_after_a_cancellation_in_a_request_is_runner_died() -> None:
    assert causes(Block().add(10, cancelled(9), died(10))) == ["runner_died"]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([], id="without a cancellation"),
        pytest.param([cancelled(9, in_request=False)], id="after one between requests"),
        pytest.param([cancelled(9, component="triggerer-2")], id="after one in another triggerer"),
        pytest.param([cancelled(9.9 - DEATH_AFTER_S)], id="long after one"),
        pytest.param([cancelled(10.1)], id="before one"),
    ],
)
def test_a_runner_that_died_of_something_else_is_not_this_race(before: list[events.AnyEvent]) -> None:
    assert causes(Block().add(10, *before, died(10))) == []


def misrouted(second: float) -> events.AnyEvent:
    return events.ReplyMisrouted(
        at=at(second), component="triggerer-1", pid=300, trigger=9, expected="r1 t", got="{'r2': {'t': 'running'}}"
    )


def test_a_reply_about_another_task_is_a_wrong_reply_without_any_log_line() -> None:
    block = Block().add(10, misrouted(10), misrouted(11))
    (incident,) = incidents(block)
    assert (incident.cause, incident.at_s) == ("wrong_reply", 10.0)
    assert "asked for the state of r1 t and was answered {'r2': {'t': 'running'}}" in incident.witness.headline


def test_a_lost_frame_outranks_the_wrong_reply_beside_it() -> None:
    assert causes(Block().add(10, cancelled(10), misrouted(10.1), frame_error(10.2))) == ["cancellation"]


def test_a_wrong_reply_outranks_the_death_that_it_leads_to() -> None:
    assert causes(Block().add(10, cancelled(10), misrouted(10.1), died(10.2))) == ["wrong_reply"]


def test_a_life_is_one_incident_however_many_lines_its_death_writes() -> None:
    block = Block().add(10, cancelled(10), frame_error(10.1), frame_error(10.2), frame_error(10.3), died(10.4))
    assert causes(block) == ["cancellation"]


def test_each_life_is_an_incident_of_its_own() -> None:
    block = restarted(Block().add(10, frame_error(10)), 11)
    assert causes(block.add(40, cancelled(39), died(40))) == ["unexplained", "runner_died"]


def test_each_triggerer_is_an_incident_of_its_own() -> None:
    block = Block().add(10, frame_error(10), frame_error(10, component="triggerer-2"))
    assert len(incidents(block)) == 2


def test_the_incident_is_when_the_first_frame_was_lost() -> None:
    assert incidents(Block().add(12, frame_error(10), frame_error(11)))[0].at_s == 10.0


def test_the_witness_has_the_frames_around_the_cancellation() -> None:
    answer = events.CancelledAnswer(
        at=at(10.1), component="triggerer-1", pid=104, trigger=9, state=None, error="RuntimeError: out of order"
    )
    witness = incidents(Block().add(11, cancelled(10), answer, frame_error(10.2)))[0].witness
    assert witness.headline == (
        "triggerer-1 read frame 555 where it expected 556, after 1 cancellations (1 of them in the middle of a request)"
    )
    assert witness.tables[0].rows == (
        ("10.000 s", "receipt", "trigger 9 cancelled in the middle of a request, next frame id 556"),
        ("10.100 s", "receipt", "trigger 9 asked for its task's state: error RuntimeError: out of order"),
        ("10.200 s", "log", "out_of_order"),
    )


def test_a_long_witness_is_cut_and_says_so() -> None:
    table = incidents(Block().add(10, *(frame_error(10 + n / 100) for n in range(100))))[0].witness.tables[0]
    assert len(table.rows) == 40
    assert table.caption == "Around the incident (first of 100)"


def test_opportunities_are_the_cancellations_that_hit_a_request() -> None:
    block = Block().add(10, cancelled(10), cancelled(10, in_request=False), cancelled(10, component="triggerer-2"))
    assert check(block.end().view()).opportunities == 2


@pytest.mark.parametrize("observer", ["component_logs", "receipts"])
def test_a_blind_observer_makes_the_race_blind(observer: str) -> None:
    block = Block().add(1, events.ObserverBlind(observer=observer, reason="gone")).end()
    assert check(block.view()).blind == (f"block 0: {observer} was blind: gone",)


def test_a_runner_that_polls_all_the_time_does_not_hang() -> None:
    block = Block()
    polling(block, 1, 60, 0)
    assert causes(block) == []


def test_a_runner_whose_loop_stands_still_hangs() -> None:
    block = Block()
    polls = polling(block, 1, 10, 0)
    polling(block, 10 + LOOP_STOPPED_S, 60, polls)
    found = incidents(block)
    assert [(incident.cause, incident.at_s) for incident in found] == [("runner_hung", 10.0)]
    assert "stood still for 10.0 s with 8 polling triggers" in found[0].witness.headline


def test_a_runner_whose_loop_stands_still_for_less_does_not_hang() -> None:
    block = Block()
    polls = polling(block, 1, 10, 0)
    polling(block, 10 + LOOP_STOPPED_S - 0.5, 60, polls)
    assert causes(block) == []


def test_a_runner_that_falls_silent_for_good_hangs() -> None:
    block = Block()
    polling(block, 1, 10, 0)
    assert causes(block) == ["runner_hung"]


def test_a_runner_that_ticks_but_gets_no_answer_hangs() -> None:
    block = Block()
    polls = polling(block, 1, 10, 0)
    polling(block, 10.5, 10 + UNANSWERED_S, polls, step=0)
    found = incidents(block)
    assert (found[0].cause, found[0].at_s) == ("runner_hung", 10.0)
    assert "got no answer for 20.0 s" in found[0].witness.headline


def test_a_runner_that_waits_for_an_answer_for_less_does_not_hang() -> None:
    block = Block()
    polls = polling(block, 1, 10, 0)
    polling(block, 10.5, 10 + UNANSWERED_S - 0.5, polls, step=0)
    polling(block, 10 + UNANSWERED_S - 0.5, 60, polls)
    assert causes(block) == []


@pytest.mark.parametrize(("seconds", "hangs"), [(0.0, True), (0.9, True), (1.1, False)])
def test_seconds_in_which_the_whole_machine_stood_still_are_not_a_runner_s(seconds: float, hangs: bool) -> None:
    block = Block()
    polls = polling(block, 1, 10, 0)
    block.add(21, events.HarnessPaused(at=at(20.5), seconds=seconds))
    polling(block, 10 + LOOP_STOPPED_S + 1, 60, polls)
    assert causes(block) == (["runner_hung"] if hangs else [])


def test_a_pause_of_the_machine_at_another_time_is_no_excuse() -> None:
    block = Block()
    polls = polling(block, 1, 10, 0)
    block.add(40, events.HarnessPaused(at=at(40), seconds=10.0))
    polling(block, 10 + LOOP_STOPPED_S + 1, 60, polls)
    assert causes(block) == ["runner_hung"]


def test_a_runner_does_not_hang_before_its_first_answer() -> None:
    block = Block()
    polling(block, 1, 40, 0, step=0)
    polling(block, 40.5, 60, 0)
    assert causes(block) == []


def test_a_runner_without_triggers_does_not_hang() -> None:
    block = Block()
    polls = polling(block, 1, 10, 0)
    block.add(10.5, told(10.5, polls, active=0))
    assert causes(block) == []


def test_a_wait_for_an_answer_does_not_begin_before_the_question() -> None:
    block = Block()
    polls = polling(block, 1, 10, 0)
    block.add(10.5, told(10.5, polls, active=0))
    # Nothing to poll for longer than any answer may take; then triggers again, not answered in their first second.
    polling(block, 40, 41, polls, step=0)
    polling(block, 41.5, 60, polls)
    assert causes(block) == []


def test_a_standstill_counts_only_as_far_as_the_load() -> None:
    block = Block()
    polls = polling(block, 1, LOAD_S - 2, 0)
    block.add(LOAD_S, events.LoadStopped(seconds=LOAD_S))
    block.add(90, told(90, polls), events.BlockEnded(complete=True))
    assert check(block.view()).incidents == ()


def test_a_standstill_that_begins_after_the_load_is_none() -> None:
    block = Block()
    polls = polling(block, 1, LOAD_S + 2, 0)
    block.add(LOAD_S + 2, events.LoadStopped(seconds=LOAD_S))
    block.add(90, told(90, polls), events.BlockEnded(complete=True))
    assert check(block.view()).incidents == ()


def test_a_runner_whose_triggerer_ended_did_not_hang() -> None:
    block = Block()
    polling(block, 1, 10, 0)
    assert causes(restarted(block, 11)) == []


def test_a_lost_frame_outranks_the_standstill_that_it_leads_to() -> None:
    block = Block()
    polling(block, 1, 10, 0)
    assert causes(block.add(11, cancelled(10), frame_error(10.2))) == ["cancellation"]


# -- under faults ----------------------------------------------------------------------------------------------------


def owns(block: Block, begin: float, end: float, count: int = 8) -> Block:
    """The database says once a second that the first triggerer owns polling triggers."""
    for second in range(int(begin), int(end) + 1):
        block.add(second, events.TriggersOwned(owned={"triggerer-1": count} if count else {}))
    return block


def until(block: Block, second: float) -> Block:
    """A block that settles up to a second."""
    block.add(LOAD_S, events.LoadStopped(seconds=LOAD_S))
    return block.add(second, events.BlockEnded(complete=True))


def found(block: Block) -> list[tuple[str, float]]:
    return [(incident.cause, incident.at_s) for incident in check(block.view()).incidents]


@pytest.mark.parametrize(("kind", "target"), [("pause", "triggerer-1"), ("postgres", "postgres")])
def test_a_runner_may_stand_still_while_a_fault_hits_it_and_a_while_after(kind: str, target: str) -> None:
    block = fault(Block(), kind, target, 10, 20)
    polls = polling(block, 1, 10, 0)
    polling(block, 20 + AFTER_FAULT_S + LOOP_STOPPED_S - 0.5, 60, polls)
    assert found(until(block, 66)) == []


def test_a_fault_of_another_triggerer_is_no_excuse() -> None:
    block = fault(Block(), "pause", "triggerer-2", 10, 20)
    polls = polling(block, 1, 10, 0)
    polling(block, 35, 60, polls)
    assert found(until(block, 66)) == [("runner_hung", 10.0)]


def test_a_runner_that_is_still_without_progress_after_that_is_dead() -> None:
    block = fault(Block(), "pause", "triggerer-1", 10, 15)
    polling(block, 1, 10, 0)
    assert found(until(block, 66)) == [("runner_hung", 15 + AFTER_FAULT_S)]


def test_a_runner_that_gets_no_answer_after_its_fault_is_dead() -> None:
    block = fault(Block(), "cutoff", "triggerer-1", 10, 15)
    polls = polling(block, 1, 10, 0)
    polling(block, 10.5, 60, polls, step=0)
    assert found(until(block, 66)) == [("runner_hung", 15 + AFTER_FAULT_S)]


def test_a_runner_that_stays_dead_after_a_late_fault_is_seen_while_the_block_settles() -> None:
    block = fault(Block(), "pause", "triggerer-1", 50, 57)
    polling(block, 1, 50, 0)
    owns(block, 57, 57 + AFTER_FAULT_S + LOOP_STOPPED_S)
    assert found(until(block, 100)) == [("runner_hung", 57 + AFTER_FAULT_S)]


def test_a_runner_that_owns_nothing_any_more_need_not_come_back() -> None:
    block = fault(Block(), "pause", "triggerer-1", 50, 57)
    polling(block, 1, 50, 0)
    owns(block, 57, 60)
    assert found(until(owns(block, 61, 100, count=0), 100)) == []


def test_without_faults_nothing_is_looked_at_after_the_load() -> None:
    block = Block()
    polling(block, 1, LOAD_S - 1, 0)
    assert found(until(owns(block, 1, 100), 100)) == []


def test_a_triggerer_that_was_killed_and_whose_successor_runs_nothing_is_dead() -> None:
    block = fault(Block(), "kill", "triggerer-1", 10, 10)
    polling(block, 1, 10, 0)
    restart(block, "triggerer-1", 10.3, 12)
    owns(block, 12, 12 + AFTER_FAULT_S + UNANSWERED_S)
    assert found(until(block, 66)) == [("runner_hung", 12 + AFTER_FAULT_S)]


def test_a_triggerer_that_was_killed_and_whose_successor_owns_nothing_is_not_dead() -> None:
    block = fault(Block(), "kill", "triggerer-1", 10, 10)
    polling(block, 1, 10, 0)
    restart(block, "triggerer-1", 10.3, 12)
    owns(block, 12, 30)
    assert found(until(owns(block, 31, 60, count=0), 66)) == []


def test_a_runner_that_dies_of_a_fault_is_none() -> None:
    block = fault(Block(), "postgres", "postgres", 10, 12).add(13, cancelled(12), died(13))
    assert found(until(block, 66)) == []


def test_a_runner_that_dies_long_after_a_fault_does_so_without_it() -> None:
    block = fault(Block(), "postgres", "postgres", 10, 12).add(40, cancelled(39), died(40))
    assert found(until(block, 66)) == [("runner_died", 40.0)]


def test_a_frame_that_is_lost_under_a_fault_is_lost() -> None:
    block = fault(Block(), "pause", "triggerer-1", 10, 20).add(20.3, cancelled(20.1), frame_error(20.2))
    assert [cause for cause, _ in found(until(block, 66))] == ["cancellation"]


def test_the_witness_has_the_faults_before_it() -> None:
    block = fault(fault(Block(), "pause", "triggerer-1", 10, 15), "kill", "scheduler-1", 50, 50, number=1)
    polling(block, 1, 10, 0)
    tables = check(until(block, 66).view()).incidents[0].witness.tables
    assert tables[-1].rows == (("10.000 s", "15.000 s", "pause", "triggerer-1", ""),)
