"""A block's recorder and observers: everything reaches the journal, and whoever can't see is blind, alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stress import events, history
from stress.cluster.base import Cluster
from stress.faults.base import PlannedFault
from stress.faults.injector import HealFailed
from stress.history import Entry, HistoryBroken, Journal, Recorder
from stress.load.generator import report_of
from stress.observers.base import Observer
from stress.observers.panel import Panel
from stress.observers.tail import SourceLost
from stress.plan import Options, check
from stress.run.block import HEALTHY_S, POLL_S, Block, BlockFailed, DagsKnown, Turn
from stress.run.settings import airflow_config, cluster_settings
from stress.settling import Waiting, callbacks_needed_s
from tests.unit.fakes import FakeClock, FakeCluster, FakeInterrupt, FakeLoad, NothingWaits, Script

SEEN = events.LoadActed(at=1.0, action="seen", count=1)


class Scripted(Observer):
    """Tells one event a look, and fails at one step."""

    def __init__(self, name: str, fails_at: str = "", error: Exception | None = None) -> None:
        self.name = name
        self.fails_at = fails_at
        self.error = error or SourceLost("gone")
        self.looks: list[str] = []

    def _look(self, step: str) -> None:
        self.looks.append(step)
        if step == self.fails_at:
            raise self.error

    def start(self) -> None:
        self._look("start")

    def poll(self) -> Iterator[events.AnyEvent]:
        yield SEEN
        self._look("poll")

    def finish(self) -> Iterable[events.AnyEvent]:
        self._look("finish")
        return [SEEN]

    def close(self) -> None:
        self._look("close")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An open journal."""
    journal = Journal(tmp_path / "h")
    yield journal
    journal.close()


def recorded(journal: Journal) -> list[events.AnyEvent]:
    return [entry.event for entry in history.read(journal.path).entries]


def watch(journal: Journal, *observers: Observer) -> list[events.AnyEvent]:
    """A block with one look."""
    watched = Panel(observers, Recorder(journal, 0))
    watched.start()
    watched.poll()
    watched.finish()
    watched.close()
    return recorded(journal)


def test_a_recorder_tells_its_listeners_what_was_written(journal: Journal) -> None:
    heard: list[Entry] = []
    Recorder(journal, 3, (heard.append,))(SEEN)
    assert heard == list(history.read(journal.path).entries)
    assert heard[0].block == 3


def test_an_observer_that_sees_is_up_and_its_events_are_written(journal: Journal) -> None:
    assert watch(journal, Scripted("eyes")) == [events.ObserverUp(observer="eyes"), SEEN, SEEN]


def test_an_observer_that_sees_nothing_at_the_start_is_blind_and_not_asked_again(journal: Journal) -> None:
    observer = Scripted("eyes", "start")
    assert watch(journal, observer) == [events.ObserverBlind(observer="eyes", reason="gone")]
    assert observer.looks == ["start", "close"]


def test_what_an_observer_saw_before_it_was_blind_is_written(journal: Journal) -> None:
    found = watch(journal, Scripted("eyes", "poll"))
    assert found[1:] == [SEEN, events.ObserverBlind(observer="eyes", reason="gone")]


def test_an_observer_may_be_blind_at_the_last_look(journal: Journal) -> None:
    assert events.ObserverBlind(observer="eyes", reason="gone") in watch(journal, Scripted("eyes", "finish"))


def test_the_blindness_of_one_is_nobody_else_s(journal: Journal) -> None:
    other = Scripted("ears")
    watch(journal, Scripted("eyes", "start"), other)
    assert other.looks == ["start", "poll", "finish", "close"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no JSON"),
        KeyError("deadline"),
        IndexError("row"),
        AttributeError("x"),
        OSError("disk"),
        RuntimeError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_defect_of_an_observer_is_its_blindness(journal: Journal, error: Exception) -> None:
    found = watch(journal, Scripted("eyes", "poll", error))
    expected = events.ObserverBlind(observer="eyes", reason=f"{type(error).__name__}: {error}")
    assert found[-1] == expected


def test_an_observer_that_tells_nonsense_is_blind_and_the_history_stays_whole(journal: Journal) -> None:
    class Nonsense(Scripted):
        def finish(self) -> Iterable[events.AnyEvent]:
            return [events.LoadActed(at="noon", action="x", count=1)]  # type: ignore[arg-type]

    found = watch(journal, Nonsense("eyes"))
    assert isinstance(found[-1], events.ObserverBlind)
    assert history.read(journal.path).broken is None


def test_a_history_that_can_t_be_written_is_no_observer_s_blindness(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    observers = Panel([Scripted("eyes")], Recorder(journal, 0))
    observers.start()
    append = journal.append

    def broken_once(*_: object) -> Entry:
        monkeypatch.setattr(journal, "append", append)
        raise HistoryBroken("no room")

    monkeypatch.setattr(journal, "append", broken_once)
    with pytest.raises(HistoryBroken, match="no room"):
        observers.poll()


ROW = {"Type": "GET", "Name": "/dags", "Request Count": "7", "Failure Count": "1", "Median Response Time": "12"}


def test_a_row_of_locust_s_statistics_is_an_event() -> None:
    expected = events.LoadReported(name="GET /dags", requests=7, failures=1, median_ms=12.0, p95_ms=80.0)
    assert report_of(ROW | {"95%": "80"}) == expected


def test_statistics_without_requests_are_zeros() -> None:
    row = {"Type": "", "Name": "Aggregated", "Request Count": "0", "Failure Count": "0", "Median Response Time": ""}
    expected = events.LoadReported(name="Aggregated", requests=0, failures=0, median_ms=0.0, p95_ms=0.0)
    assert report_of(row | {"95%": "N/A"}) == expected


# -- faults under load -----------------------------------------------------------------------------------------------


class Impatient(FakeInterrupt):
    """An interrupt that comes after some looks under load, or later."""

    def __init__(self, clock: FakeClock, looks: int) -> None:
        super().__init__(clock)
        self.looks = looks

    def pause(self, seconds: float) -> bool:
        self.looks -= 1
        self.count += int(self.looks == 0)
        return super().pause(seconds)


class SickCluster(FakeCluster):
    """`signs` are the components whose signs of life are missing, look by look; the last look stays."""

    def __init__(self, directory: Path, clock: FakeClock) -> None:
        super().__init__(directory, Script(), clock, 0)
        self.signs: list[set[str]] = [set()]

    def unhealthy(self, since: float) -> frozenset[str]:
        assert since > 0
        return frozenset(self.signs.pop(0) if len(self.signs) > 1 else self.signs[0])


class OneBlock:
    """A block in which a triggerer is paused from the first look on; its parts can be changed before `run`."""

    def __init__(self, journal: Journal, directory: Path) -> None:
        self.clock = FakeClock()
        self.cluster = SickCluster(directory, self.clock)
        self.load = FakeLoad()
        self.record = Recorder(journal, 0)
        self.panel = Panel([], self.record, lambda _: NothingWaits())
        self.looks = 1000
        self.turn = Turn(
            arm="stock",
            dags=("churn_0",),
            load_s=15.0,
            faults=(PlannedFault(0, 0.0, "pause", "triggerer-1", 5.0),),
            drains=True,
            config={},
        )

    def run(self) -> Impatient:
        """Run the block; its interrupt."""
        interrupt = Impatient(self.clock, self.looks)
        Block(
            self.turn,
            self.cluster,
            self.load,
            self.panel,
            self.record,
            interrupt,
            phase=lambda _: None,
            directory=self.cluster.directory,
            dags=self._dags,
            clock=self.clock,
        ).run()
        return interrupt

    @contextmanager
    def _dags(self, _: Cluster) -> Iterator[DagsKnown]:
        yield lambda: self.turn.dags


@pytest.fixture
def block(journal: Journal, tmp_path: Path) -> OneBlock:
    """A block with a fault."""
    return OneBlock(journal, tmp_path)


def faults_in(journal: Journal) -> list[str]:
    kinds = (events.FaultInjected, events.FaultHealed)
    return [type(event).__name__ for event in recorded(journal) if isinstance(event, kinds)]


def test_an_interrupt_under_load_undoes_what_is_broken(block: OneBlock, journal: Journal) -> None:
    block.looks = 3
    block.turn = replace(block.turn, faults=(PlannedFault(0, 0.0, "pause", "triggerer-1", 50.0),))
    block.run()
    assert block.cluster.done == [("pause", "triggerer-1"), ("resume", "triggerer-1")]
    assert faults_in(journal) == ["FaultInjected", "FaultHealed"]
    assert recorded(journal)[-2] == events.BlockEnded(complete=False, reason="interrupted")


def test_a_load_that_ends_too_early_leaves_nothing_broken(block: OneBlock) -> None:
    block.load = FakeLoad(ends_early=True)
    with pytest.raises(BlockFailed):
        block.run()
    assert block.cluster.done == [("pause", "triggerer-1"), ("resume", "triggerer-1")]
    assert block.cluster.stops == 1


def test_a_fault_that_can_t_be_undone_fails_the_block_and_is_in_the_history(block: OneBlock, journal: Journal) -> None:
    block.cluster.fails = {"resume"}
    with pytest.raises(HealFailed, match="pause of triggerer-1: resume failed"):
        block.run()
    healed = [event.error for event in recorded(journal) if isinstance(event, events.FaultHealed)]
    assert healed[-1] == "resume failed"


def healthy(journal: Journal) -> events.ComponentsHealthy:
    [said] = [event for event in recorded(journal) if isinstance(event, events.ComponentsHealthy)]
    return said


def test_after_the_faults_the_block_waits_for_every_component(block: OneBlock, journal: Journal) -> None:
    block.cluster.signs = [{"triggerer-1", "api-server"}, {"triggerer-1"}, set()]
    block.run()
    assert (healthy(journal).missing, healthy(journal).seconds) == ([], 2 * POLL_S)


def test_a_component_that_gives_no_sign_of_life_is_told_and_waited_for_no_longer(
    block: OneBlock, journal: Journal
) -> None:
    block.cluster.signs = [{"triggerer-1", "api-server"}]
    block.run()
    assert healthy(journal).missing == ["api-server", "triggerer-1"]
    assert HEALTHY_S < healthy(journal).seconds <= HEALTHY_S + POLL_S


class FakeAftermath:
    """What faults left behind, one look after another; the last one stays."""

    def __init__(self, *looks: tuple[int, int]) -> None:
        self.looks = list(looks)

    def callbacks(self) -> Waiting:
        return Waiting(self.looks[0][0])

    def tasks(self) -> Waiting:
        return Waiting(self.looks[0][1])

    def runners(self) -> bool:
        if len(self.looks) > 1:
            self.looks.pop(0)
        return False


def settle(block: OneBlock, *looks: tuple[int, int], lost: Exception | None = None) -> tuple[Impatient, list[bool]]:
    """Run a block that has left this behind; its interrupt, and how it was asked."""
    asked: list[bool] = []
    aftermath = FakeAftermath(*looks) if looks else None

    def ask(drains: bool) -> FakeAftermath | None:
        asked.append(drains)
        if lost is not None:
            raise lost
        return aftermath

    block.panel = Panel([], block.record, ask)
    return block.run(), asked


def settlings(journal: Journal) -> list[events.BlockSettled]:
    return [event for event in recorded(journal) if isinstance(event, events.BlockSettled)]


@pytest.mark.parametrize("drains", [True, False], ids=["with faults", "without"])
def test_a_block_settles_until_nothing_waits_and_says_so(block: OneBlock, journal: Journal, drains: bool) -> None:
    block.turn = replace(block.turn, drains=drains)
    _, asked = settle(block, (2, 3), (0, 3), (0, 0))
    (said,) = settlings(journal)
    assert (said.callbacks, said.tasks, said.drained, set(asked)) == (0, 0, drains, {drains})


@pytest.mark.parametrize("drains", [True, False], ids=["with faults", "without"])
@pytest.mark.parametrize("waits", [(1, 0), (0, 1)], ids=["a callback", "a task"])
def test_a_block_does_not_settle_while_something_waits(
    block: OneBlock, journal: Journal, waits: tuple[int, int], drains: bool
) -> None:
    block.turn = replace(block.turn, drains=drains)
    block.looks = 60  # 30 s of load, health and settling
    interrupt, _ = settle(block, waits)
    assert interrupt.requested, "it went on until it was interrupted"
    assert settlings(journal) == []


@pytest.mark.parametrize("lost", [SourceLost("gone"), None], ids=["gone", "never there"])
def test_a_database_that_can_t_be_asked_ends_the_settling_without_a_word(
    block: OneBlock, journal: Journal, lost: Exception | None
) -> None:
    interrupt, _ = settle(block, lost=lost)
    assert not interrupt.requested
    assert settlings(journal) == []


def test_how_long_is_waited_follows_from_what_the_arm_is_configured_with(block: OneBlock, journal: Journal) -> None:
    config = {"triggerer.triggerer_health_check_threshold": "100"}
    block.turn = replace(block.turn, config=config)
    settle(block, (0, 0))
    assert settlings(journal)[0].callbacks_needed_s == callbacks_needed_s(config) > callbacks_needed_s({})


@pytest.mark.usefixtures("fit_machine")
def test_an_arm_s_own_configuration_is_over_that_of_the_plan(tmp_path: Path) -> None:
    plan = check(Options(seed="1", out=str(tmp_path / "run")))
    plan = replace(plan, arms=(replace(plan.arms[0], config=(("core.parallelism", "7"),)), *plan.arms[1:]))
    shared = cluster_settings(plan).config
    assert airflow_config(plan, "stock") == {**shared, "core.parallelism": "7"}
    assert airflow_config(plan, "fixed") == shared


def test_the_cpu_seconds_of_the_load_are_told_at_its_end(block: OneBlock, journal: Journal) -> None:
    block.run()
    [used] = [event for event in recorded(journal) if isinstance(event, events.CpuUsed)]
    assert used.seconds == {"postgres": 15.0}
