"""A block's recorder and observers: everything reaches the journal, and whoever can't see is blind, alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from stress import events, history
from stress.block import Observers, Recorder, _load_report
from stress.history import Entry, HistoryBroken, Journal
from stress.observers.base import Observer
from stress.observers.tail import SourceLost

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
