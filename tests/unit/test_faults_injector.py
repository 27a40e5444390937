"""The injector: one fault at a time, when it is due, and every fault that began is undone once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stress import events
from stress.cluster.errors import ClusterError
from stress.faults.base import PlannedFault
from stress.faults.injector import HealFailed, Injector
from stress.faults.schedule import TAIL_S, schedule
from tests.unit.clusters import PaperCluster


@pytest.fixture
def cluster(tmp_path: Path) -> PaperCluster:
    """A cluster that only writes down what is done to it."""
    return PaperCluster(tmp_path)


class Block:
    """An injector on a paper cluster with a clock that only waiting moves."""

    def __init__(self, cluster: PaperCluster, *planned: PlannedFault, load_s: float = 60.0) -> None:
        self.now = 1000.0
        self.cluster = cluster
        self.recorded: list[events.AnyEvent] = []
        self.on_record: Callable[[events.AnyEvent], None] = lambda _: None
        self.injector = Injector(cluster, planned, load_s, self._record, self._wait, lambda: self.now)
        self.injector.begin()

    def _record(self, event: events.AnyEvent) -> None:
        self.recorded.append(event)
        self.on_record(event)

    def _wait(self, seconds: float) -> None:
        self.now += seconds

    def at(self, load_s: float) -> None:
        """Look at this time of load."""
        self.now = 1000.0 + load_s
        self.injector.poll()

    @property
    def healed(self) -> list[events.FaultHealed]:
        return [event for event in self.recorded if isinstance(event, events.FaultHealed)]


def pause(number: int = 0, at_s: float = 5.0, seconds: float = 4.0, target: str = "triggerer-1") -> PlannedFault:
    return PlannedFault(number, at_s, "pause", target, seconds)


def kill(number: int = 0, at_s: float = 5.0) -> PlannedFault:
    return PlannedFault(number, at_s, "kill", "triggerer-2", 0.0)


def test_a_fault_is_injected_when_it_is_due_and_healed_when_it_has_lasted(cluster: PaperCluster) -> None:
    block = Block(cluster, pause())
    block.at(4.9)
    assert cluster.done == []
    block.at(5.1)
    assert cluster.done == [("pause", "triggerer-1")]
    block.at(9.0)
    assert cluster.done == [("pause", "triggerer-1")]
    block.at(9.2)
    assert cluster.done == [("pause", "triggerer-1"), ("resume", "triggerer-1")]
    assert block.recorded == [
        events.FaultInjected(number=0, fault="pause", target="triggerer-1", planned_s=4.0),
        events.FaultHealed(number=0, fault="pause", target="triggerer-1", seconds=4.1),
    ]


def test_the_event_tells_the_fault_s_own_numbers(cluster: PaperCluster) -> None:
    block = Block(cluster, PlannedFault(0, 1, "slow", "scheduler-1", 2, {"delay_ms": 30.0, "jitter_ms": 0.5,
                                                                          "loss_percent": 0.0}))  # fmt: skip
    block.at(1)
    expected = "delay_ms=30, jitter_ms=0.5, loss_percent=0"
    assert [event.detail for event in block.recorded if isinstance(event, events.FaultInjected)] == [expected]


def test_a_short_fault_is_awaited_and_lasts_as_long_as_it_is_to(cluster: PaperCluster) -> None:
    block = Block(cluster, pause(seconds=0.02))
    block.at(5)
    assert [event.seconds for event in block.healed] == [pytest.approx(0.02)]


def test_a_blow_is_over_at_once(cluster: PaperCluster) -> None:
    block = Block(cluster, kill())
    block.at(5)
    assert [(event.number, event.seconds, event.error) for event in block.healed] == [(0, 0.0, "")]


def test_one_fault_at_a_time(cluster: PaperCluster) -> None:
    block = Block(cluster, pause(0, 5, 10), kill(1, 6))
    for load_s in (5, 7, 14):
        block.at(load_s)
    assert cluster.done == [("pause", "triggerer-1")]
    block.at(15.5)
    assert [what for what, *_ in cluster.done] == ["pause", "resume", "kill"]


def test_a_fault_waits_until_its_target_is_up(cluster: PaperCluster) -> None:
    cluster.down = {"triggerer-2"}
    block = Block(cluster, kill())
    block.at(5)
    assert block.recorded == []
    cluster.down = set()
    block.at(9)
    assert [what for what, *_ in cluster.done] == ["kill"]


def test_what_could_not_be_injected_until_the_end_of_the_load_is_left_out(cluster: PaperCluster) -> None:
    cluster.down = {"triggerer-2"}
    block = Block(cluster, kill())
    block.at(60 - TAIL_S + 0.1)
    cluster.down = set()
    block.at(60 - TAIL_S + 0.2)
    assert block.recorded == []


def test_the_undo_is_registered_before_the_fault_is_injected(cluster: PaperCluster) -> None:
    cluster.fails = {"pause"}
    block = Block(cluster, pause())
    with pytest.raises(ClusterError):
        block.at(5)
    block.injector.heal_all()
    assert cluster.done == [("pause", "triggerer-1"), ("resume", "triggerer-1")]


def test_a_target_that_has_just_ended_by_itself_is_missed_and_the_block_goes_on(cluster: PaperCluster) -> None:
    cluster.too_late = {"pause"}
    block = Block(cluster, pause())
    block.at(5)
    assert [(event.missed, event.seconds) for event in block.healed] == [(True, 0.0)]
    assert cluster.done == [("pause", "triggerer-1"), ("resume", "triggerer-1")]
    block.injector.heal_all()
    assert len(block.healed) == 1


def test_the_undo_is_registered_before_anything_else_can_go_wrong(cluster: PaperCluster) -> None:
    block = Block(cluster, pause())

    def interrupted(_: events.AnyEvent) -> None:
        raise KeyboardInterrupt

    block.on_record = interrupted
    with pytest.raises(KeyboardInterrupt):
        block.at(5)
    block.on_record = lambda _: None
    block.injector.heal_all()
    assert ("resume", "triggerer-1") in cluster.done


def test_an_interrupt_in_the_middle_of_a_short_fault_leaves_its_undo(cluster: PaperCluster) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    block = Block(cluster, pause(seconds=0.3))
    block.injector = Injector(cluster, [pause(seconds=0.3)], 60.0, block.recorded.append, interrupted, lambda: 1000.0)
    block.injector.begin()
    block.injector._due[0] = pause(at_s=0.0, seconds=0.3)
    with pytest.raises(KeyboardInterrupt):
        block.injector.poll()
    block.injector.heal_all()
    assert cluster.done == [("pause", "triggerer-1"), ("resume", "triggerer-1")]
    assert len(block.healed) == 1


def stack(block: Block, *planned: PlannedFault) -> None:
    """Several faults that are active at once."""
    for each in planned:
        block.injector._inject(each)


def test_everything_is_undone_in_the_end_the_newest_first(cluster: PaperCluster) -> None:
    block = Block(cluster)
    stack(block, pause(0, target="triggerer-1"), pause(1, target="scheduler-1"))
    block.injector.heal_all()
    assert cluster.done[2:] == [("resume", "scheduler-1"), ("resume", "triggerer-1")]
    assert [event.number for event in block.healed] == [1, 0]


def test_nothing_is_injected_after_everything_was_undone(cluster: PaperCluster) -> None:
    block = Block(cluster, kill())
    block.injector.heal_all()
    block.at(6)
    assert cluster.done == []


def test_what_is_healed_is_not_healed_again(cluster: PaperCluster) -> None:
    block = Block(cluster, pause())
    block.at(5)
    block.at(10)
    block.injector.heal_all()
    assert [what for what, *_ in cluster.done] == ["pause", "resume"]


def test_an_undo_that_fails_keeps_no_other_from_being_tried_and_is_loud(cluster: PaperCluster) -> None:
    block = Block(cluster)
    network = PlannedFault(0, 5.0, "cutoff", "scheduler-1", 4.0)
    stack(block, network, pause(1))
    cluster.fails = {"resume"}
    with pytest.raises(HealFailed, match="pause of triggerer-1: resume failed"):
        block.injector.heal_all()
    assert cluster.done[-1] == ("restore_network", "scheduler-1")
    assert [(event.number, event.error) for event in block.healed] == [(1, "resume failed"), (0, "")]


def test_an_undo_that_fails_in_time_is_tried_again_in_the_end(cluster: PaperCluster) -> None:
    block = Block(cluster, pause())
    block.at(5)
    cluster.fails = {"resume"}
    with pytest.raises(ClusterError):
        block.at(10)
    cluster.fails = set()
    block.injector.heal_all()
    assert [what for what, *_ in cluster.done] == ["pause", "resume", "resume"]
    assert [event.error for event in block.healed] == [""]


def test_a_history_that_can_t_be_written_keeps_nothing_from_being_undone(cluster: PaperCluster) -> None:
    block = Block(cluster)
    stack(block, pause(0), pause(1, target="scheduler-1"))

    def full(_: events.AnyEvent) -> None:
        raise OSError("no room")

    block.on_record = full
    with pytest.raises(OSError, match="no room"):
        block.injector.heal_all()
    assert [what for what, *_ in cluster.done] == ["pause", "pause", "resume", "resume"]


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 120))
def test_whatever_happens_when_each_fault_is_undone_once(seed: int, until: int) -> None:
    """An end at any time: as many ends as beginnings."""
    cluster = PaperCluster.__new__(PaperCluster)
    cluster.done, cluster.fails, cluster.too_late, cluster.down, cluster.directory = [], set(), set(), set(), Path()
    block = Block(cluster, *schedule(seed, 0, ["kill", "pause", "slow", "cutoff"], 60.0))
    for half in range(until):
        block.at(half / 2)
    block.injector.heal_all()
    begun = [event.number for event in block.recorded if isinstance(event, events.FaultInjected)]
    assert sorted(event.number for event in block.healed) == begun == list(range(len(begun)))
