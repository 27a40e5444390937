"""What every checker asks of a block."""

from __future__ import annotations

from histories import EPOCH, LOAD_S, Block, run

from stress import events
from stress.checkers.view import BlockView, role_of


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
