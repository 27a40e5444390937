"""What every checker asks of a block."""

from __future__ import annotations

import math
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress import events
from stress.checkers.view import BlockView, longest_outside
from stress.components import role_of
from tests.unit.histories import EPOCH, LOAD_S, Block, fault, restarted, run


def started(component: str = "triggerer-1", pid: int = 900, restarts: int = 1) -> events.AnyEvent:
    return events.ComponentStarted(component=component, pid=pid, restarts=restarts)


def exited(component: str = "triggerer-1", pid: int = 900) -> events.AnyEvent:
    return events.ComponentExited(component=component, pid=pid, code=1)


def lives(block: Block, component: str) -> list[tuple[int, float, float]]:
    """(process, start, end) of each life of a component, in seconds of load."""
    found = block.view().lives(role_of(component))
    return [(life.pid, life.start - EPOCH, life.end - EPOCH) for life in found if life.component == component]


def test_a_view_of_a_history_has_its_block_s_entries_and_arm() -> None:
    history = run(Block("stock", 0).end(), Block("fixed", 1).end())
    view = BlockView.of(history, 1)
    assert view.arm == "fixed"
    assert {entry.block for entry in view.entries} == {1}


def test_load_lasts_as_long_as_its_end_says() -> None:
    assert Block().end().view().load_s == LOAD_S


def test_load_that_goes_on_lasts_until_the_last_entry() -> None:
    assert Block().add(12.5, exited()).view().load_s == 12.5


def test_a_block_without_load_has_none() -> None:
    view = Block(start=False).add(0, events.BlockStarted(arm="stock")).view()
    assert (view.load_s, view.load_started_at) == (0.0, None)


def test_a_block_that_ended_properly_is_complete() -> None:
    assert Block().end().view().complete


def test_a_block_that_was_cut_short_is_not_complete() -> None:
    assert not Block().end(complete=False).view().complete


def test_a_block_that_goes_on_is_not_complete() -> None:
    assert not Block().view().complete


def test_a_block_whose_observers_all_saw_is_not_blind() -> None:
    assert Block().end().view().blind("postgres_log", "receipts") == ()


def test_an_observer_that_never_saw_is_blind() -> None:
    assert Block().end().view().blind("unheard_of") == ("block 0: unheard_of never saw its source",)


def test_an_observer_that_was_blind_once_is_blind() -> None:
    block = Block().add(5, events.ObserverBlind(observer="receipts", reason="gone")).end()
    assert block.view().blind("receipts") == ("block 0: receipts was blind: gone",)


def test_the_blindness_of_another_observer_is_no_matter() -> None:
    block = Block().add(5, events.ObserverBlind(observer="receipts", reason="gone")).end()
    assert block.view().blind("postgres_log") == ()


def test_a_block_that_was_cut_short_is_blind_and_says_why() -> None:
    assert Block().end(complete=False, reason="SIGINT").view().blind() == ("block 0 was cut short: SIGINT",)


def test_a_block_that_goes_on_is_not_blind_for_that() -> None:
    assert Block().view().blind("receipts") == ()


def test_times_before_the_load_count_as_its_begin() -> None:
    assert Block().view().at_s(EPOCH - 3) == 0.0


def test_a_life_that_goes_on_lasts_until_the_last_entry() -> None:
    assert lives(Block().end(), "triggerer-1") == [(104, -9.0, LOAD_S + 6)]


def test_a_life_ends_with_the_exit_of_its_process() -> None:
    block = Block().add(20, exited(pid=104)).add(20, started()).end()
    assert lives(block, "triggerer-1") == [(104, -9.0, 20.0), (900, 20.0, LOAD_S + 6)]


def test_a_life_whose_exit_nobody_saw_ends_with_its_successor_s_start() -> None:
    assert lives(Block().add(20, started()).end(), "triggerer-1")[0] == (104, -9.0, 20.0)


def test_the_exit_of_another_component_ends_no_life() -> None:
    block = Block().add(20, exited("triggerer-2", pid=105)).end()
    assert lives(block, "triggerer-1") == [(104, -9.0, LOAD_S + 6)]


def test_the_role_of_a_component_is_its_name_without_its_number() -> None:
    assert [role_of(name) for name in ("scheduler-2", "api-server", "triggerer-11")] == [
        "scheduler",
        "api-server",
        "triggerer",
    ]


def test_faults_last_from_their_injection_to_their_healing() -> None:
    block = fault(fault(Block(), "pause", "triggerer-1", 5, 9), "kill", "scheduler-1", 20, number=1)
    first, second = block.end().view().faults
    assert (first.fault, first.target, first.start - EPOCH, first.end - EPOCH) == ("pause", "triggerer-1", 5, 9)
    assert second.end == math.inf


def test_a_fault_that_could_not_be_undone_was_not_healed() -> None:
    block = fault(Block(), "pause", "triggerer-1", 5)
    block.add(9, events.FaultHealed(number=0, fault="pause", target="triggerer-1", seconds=4, error="no such process"))
    assert block.view().faults[0].end == math.inf


def excused(block: Block, component: str = "triggerer-1") -> list[tuple[float, float]]:
    return [(start - EPOCH, end - EPOCH) for start, end in block.end().view().excused(component, 20)]


def test_a_component_is_excused_while_a_fault_hits_it_and_a_while_after() -> None:
    assert excused(fault(Block(), "pause", "triggerer-1", 5, 9)) == [(5, 29)]


def test_a_fault_of_another_component_is_no_excuse() -> None:
    assert excused(fault(Block(), "pause", "triggerer-2", 5, 9)) == []


def test_a_fault_of_the_database_hits_everybody() -> None:
    assert excused(fault(Block(), "postgres", "postgres", 5, 9)) == [(5, 29)]


def test_a_component_that_a_fault_ended_is_excused_until_its_successor_has_come() -> None:
    assert excused(restarted(fault(Block(), "kill", "triggerer-1", 5, 5), "triggerer-1", 5.2, 12)) == [(5, 32)]


def test_a_component_that_ended_before_the_fault_did_so_without_it() -> None:
    assert excused(fault(restarted(Block(), "triggerer-1", 3, 12), "pause", "triggerer-1", 5, 9)) == [(5, 29)]


def test_a_component_that_is_never_started_again_stays_excused() -> None:
    block = fault(Block(), "kill", "triggerer-1", 5, 5)
    assert excused(block.add(5.2, exited(pid=104))) == [(5, math.inf)]


@pytest.mark.parametrize(
    ("spans", "longest"),
    [
        ([], (10, 30)),
        ([(12, 15)], (15, 30)),
        ([(12, 25)], (25, 30)),
        ([(14, 16), (15, 40)], (10, 14)),
        ([(5, 40)], (10, 10)),
        ([(40, 50)], (10, 30)),
        ([(0, 5)], (10, 30)),
        ([(29, 35), (11, 12)], (12, 29)),
    ],
)
def test_the_longest_part_outside_of_spans(spans: list[tuple[float, float]], longest: tuple[float, float]) -> None:
    start, end = longest_outside(10, 30, spans)
    assert end - start == longest[1] - longest[0]
    assert (start, end) == longest or end == start


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda s: (min(s), max(s) + 1)), max_size=6))
def test_the_longest_part_outside_of_spans_is_outside_of_all_and_none_is_longer(spans: list[tuple[int, int]]) -> None:
    start, end = longest_outside(5, 35, spans)
    free = [all(not left <= second < right for left, right in spans) for second in range(5, 35)]
    runs = [len(list(group)) for is_free, group in groupby(free) if is_free]
    assert end - start == max(runs, default=0)
    assert all(free[int(start) - 5 : int(end) - 5])
