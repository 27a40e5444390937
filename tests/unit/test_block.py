"""A block's recorder and observers: everything reaches the journal, and whoever can't see is blind, alone."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clusters import PaperCluster

from stress import block as module
from stress import events, history
from stress.block import Block, BlockFailed, Observers, Recorder, _load_report
from stress.cluster.base import ComponentEvent, CpuReading
from stress.cluster.processes import Label
from stress.cpu import CpuMeter
from stress.faults.base import PlannedFault
from stress.faults.injector import HealFailed
from stress.history import Entry, HistoryBroken, Journal
from stress.interrupt import Interrupt
from stress.observers.base import Observer
from stress.observers.tail import SourceLost
from stress.plan import Options, check
from stress.settling import Waiting, callbacks_needed_s

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
    watched = Observers(observers, Recorder(journal, 0))
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
    observers = Observers([Scripted("eyes")], Recorder(journal, 0))
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
    assert _load_report(ROW | {"95%": "80"}) == expected


def test_statistics_without_requests_are_zeros() -> None:
    row = {"Type": "", "Name": "Aggregated", "Request Count": "0", "Failure Count": "0", "Median Response Time": ""}
    expected = events.LoadReported(name="Aggregated", requests=0, failures=0, median_ms=0.0, p95_ms=0.0)
    assert _load_report(row | {"95%": "N/A"}) == expected


# -- faults under load -----------------------------------------------------------------------------------------------


class QuietCluster(PaperCluster):
    """Components that do nothing; `signs` are those that are missing, look by look."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.signs: list[set[str]] = []

    def poll(self) -> list[ComponentEvent]:
        return []

    def memory_bytes(self) -> Mapping[str, int]:
        return {}

    def unhealthy(self, since: float) -> frozenset[str]:
        assert since > 0
        return frozenset(self.signs.pop(0))


class PaperLoad:
    """A load generator that ends when it is told to."""

    def __init__(self) -> None:
        self.code: int | None = None

    def exit_code(self) -> int | None:
        return self.code

    def send_signal(self, _: signal.Signals) -> None:
        self.code = 0

    def tree(self, _: object) -> set[int]:
        return set()

    def log_tail(self) -> str:
        return "gone"


class Impatient(Interrupt):
    """An interrupt that comes after some looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def pause(self, seconds: float) -> bool:  # noqa: ARG002 - nobody waits here
        self.looks -= 1
        self.count += int(self.looks == 0)
        return self.requested


@pytest.fixture
def cluster(tmp_path: Path) -> QuietCluster:
    """A cluster that only writes down what is done to it."""
    return QuietCluster(tmp_path)


@pytest.fixture
def paused(journal: Journal, cluster: QuietCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Block:
    """A block under load in which a triggerer is paused from the first look on, for longer than the block lasts."""
    monkeypatch.setattr("stress.plan.machine_faults", lambda _port: [])
    plan = check(Options(faults="pause", seed="1", out=str(tmp_path / "run")))
    recorder = Recorder(journal, 0)
    block = Block(plan, cluster, Label("id", tmp_path), tmp_path, recorder, Impatient(looks=3), lambda _: None)
    block._faults = (PlannedFault(0, 0.0, "pause", "triggerer-1", 50.0),)
    stand_in: Any = PaperLoad()
    block._load, block._load_started = stand_in, time.monotonic()
    return block


def watch_load(block: Block) -> None:
    block._watch_load(Observers([], block._record))


def test_an_interrupt_under_load_undoes_what_is_broken(paused: Block, cluster: QuietCluster, journal: Journal) -> None:
    watch_load(paused)
    assert cluster.done == [("pause", "triggerer-1"), ("resume", "triggerer-1")]
    kinds = [type(event).__name__ for event in recorded(journal) if not isinstance(event, events.MemorySampled)]
    assert kinds == ["FaultInjected", "FaultHealed"]


def test_a_load_that_ends_too_early_leaves_nothing_broken(paused: Block, cluster: QuietCluster) -> None:
    assert paused._load is not None
    paused._load.code = 1  # type: ignore[attr-defined]
    with pytest.raises(BlockFailed):
        watch_load(paused)
    assert cluster.done == [("pause", "triggerer-1"), ("resume", "triggerer-1")]


def test_a_fault_that_can_t_be_undone_fails_the_block_and_is_in_the_history(
    paused: Block, cluster: QuietCluster, journal: Journal
) -> None:
    cluster.fails = {"resume"}
    with pytest.raises(HealFailed, match="pause of triggerer-1: resume failed"):
        watch_load(paused)
    assert [event.error for event in recorded(journal) if isinstance(event, events.FaultHealed)] == ["resume failed"]


def test_after_the_faults_the_block_waits_for_every_component(
    paused: Block, cluster: QuietCluster, journal: Journal
) -> None:
    cluster.signs = [{"triggerer-1", "api-server"}, {"triggerer-1"}, set()]
    paused._interrupt = Impatient(looks=10)
    paused._await_healthy(Observers([], paused._record))
    told = recorded(journal)[-1]
    assert isinstance(told, events.ComponentsHealthy)
    assert (told.missing, cluster.signs) == ([], [])


def test_a_component_that_gives_no_sign_of_life_is_told_and_waited_for_no_longer(
    paused: Block, cluster: QuietCluster, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEALTHY_S", -1.0)
    cluster.signs = [{"triggerer-1", "api-server"}]
    paused._await_healthy(Observers([], paused._record))
    told = recorded(journal)[-1]
    assert isinstance(told, events.ComponentsHealthy)
    assert told.missing == ["api-server", "triggerer-1"]


class PaperAftermath:
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


class PaperDatabase:
    """The observer of a database in which faults left something behind."""

    def __init__(self, aftermath: PaperAftermath | Exception | None) -> None:
        self._aftermath = aftermath
        self.drains: bool | None = None

    def aftermath(self, *, drains: bool) -> PaperAftermath | None:
        self.drains = drains
        if isinstance(self._aftermath, Exception):
            raise self._aftermath
        return self._aftermath


def settle(block: Block, aftermath: PaperAftermath | Exception | None, arm: str = "stock") -> PaperDatabase:
    database = PaperDatabase(aftermath)
    asked: Any = database
    block._interrupt = Impatient(looks=20)
    block._load = None
    block._settle(Observers([], block._record), asked, arm)
    return database


def settlings(journal: Journal) -> list[events.BlockSettled]:
    return [event for event in recorded(journal) if isinstance(event, events.BlockSettled)]


@pytest.mark.parametrize("faults", [("pause",), ()], ids=["with faults", "without"])
def test_a_block_settles_until_nothing_waits_and_says_so(
    paused: Block, journal: Journal, faults: tuple[str, ...]
) -> None:
    paused._plan = replace(paused._plan, faults=faults)
    database = settle(paused, PaperAftermath((2, 3), (0, 3), (0, 0)))
    (said,) = settlings(journal)
    assert (said.callbacks, said.tasks, paused._interrupt.requested) == (0, 0, False)
    assert said.drained is database.drains is bool(faults)


@pytest.mark.parametrize("faults", [("pause",), ()], ids=["with faults", "without"])
@pytest.mark.parametrize("waits", [(1, 0), (0, 1)], ids=["a callback", "a task"])
def test_a_block_does_not_settle_while_something_waits_whatever_races_are_asked_for(
    paused: Block, journal: Journal, waits: tuple[int, int], faults: tuple[str, ...]
) -> None:
    paused._plan = replace(paused._plan, faults=faults, races=())
    settle(paused, PaperAftermath(waits))
    assert paused._interrupt.requested, "it went on until it was interrupted"
    assert settlings(journal) == []


@pytest.mark.parametrize("aftermath", [SourceLost("gone"), None], ids=["gone", "never there"])
def test_a_database_that_can_t_be_asked_ends_the_settling_without_a_word(
    paused: Block, journal: Journal, aftermath: Exception | None
) -> None:
    settle(paused, aftermath)
    assert not paused._interrupt.requested
    assert settlings(journal) == []


def test_how_long_is_waited_follows_from_what_the_arm_is_configured_with(paused: Block, journal: Journal) -> None:
    arm = replace(paused._plan.arms[0], config=(("triggerer.triggerer_health_check_threshold", "100"),))
    paused._plan = replace(paused._plan, arms=(arm, *paused._plan.arms[1:]))
    settle(paused, PaperAftermath((0, 0)), arm.name)
    settle(paused, PaperAftermath((0, 0)), "fixed")
    first, second = (said.callbacks_needed_s for said in settlings(journal))
    assert first == callbacks_needed_s(dict(arm.config))
    assert second == callbacks_needed_s(paused._plan.config) < first


class BusyCluster(QuietCluster):
    """A cluster whose api-server uses a CPU second between two readings."""

    used = 0.0

    def cpu_seconds(self) -> Mapping[str, CpuReading]:
        self.used += 1.0
        return {"api-server": CpuReading(7, self.used)}


def test_the_cpu_seconds_of_the_load_are_told_at_its_end(paused: Block, journal: Journal, tmp_path: Path) -> None:
    cluster = BusyCluster(tmp_path / "busy")
    paused._cluster = cluster
    paused._cpu = CpuMeter(cluster.cpu_seconds)
    assert paused._load is not None
    paused._load.code = 0  # type: ignore[attr-defined]
    paused._stop_load()
    assert recorded(journal)[-1] == events.CpuUsed(seconds={"api-server": 1.0})
