"""The harness's own clock: a time in which it did not run is told, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from stress import events
from stress.observers import harness_clock
from stress.observers.harness_clock import LATE_S, TICK_S, HarnessClock


class Readings:
    """A wall clock that shows these times, one a look, and says when the last was read."""

    def __init__(self, *times: float) -> None:
        self._times: Iterator[float] = iter(times)
        self._last = times[-1]
        self.read = threading.Event()

    def __call__(self) -> float:
        time = next(self._times, None)
        if time is None:
            self.read.set()
            return self._last
        return time


def told(monkeypatch: pytest.MonkeyPatch, *times: float) -> list[events.AnyEvent]:
    monkeypatch.setattr(harness_clock, "TICK_S", 0.0)
    monkeypatch.setattr(harness_clock, "LATE_S", TICK_S + LATE_S)
    readings = Readings(*times)
    clock = HarnessClock(readings)
    clock.start()
    assert readings.read.wait(10)
    clock.close()
    return list(clock.poll())


def test_ticks_in_time_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, 100.0, 100.5, 101.0, 101.9) == []


def test_each_time_without_a_tick_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, 100.0, 112.25, 112.75, 115.0) == [
        events.HarnessPaused(at=112.25, seconds=12.25),
        events.HarnessPaused(at=115.0, seconds=2.25),
    ]


def test_a_clock_that_never_began_can_be_closed() -> None:
    HarnessClock().close()
