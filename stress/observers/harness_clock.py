"""The harness's own clock: times in which the whole machine stood still.

A thread sleeps for half a second, again and again, and compares the wall clock with what it asked for. A virtual
machine that was suspended, or a machine so busy that a sleeping thread gets no CPU for more than `LATE_S`, delays the
harness as well as Airflow: a standstill in that time is not evidence about Airflow. The thread is separate because the
harness's main loop also waits for the database and for files, which can be slow for other reasons.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

from stress import events
from stress.observers.base import Observer

TICK_S = 0.5
LATE_S = 0.5
"""Seconds by which a tick must be late to count as a pause."""


class HarnessClock(Observer):
    """Reports each time in which the harness did not run."""

    name = "harness_clock"

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._found: queue.SimpleQueue[events.HarnessPaused] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._tick, name="harness-clock", daemon=True)
        self._thread.start()

    def poll(self) -> Iterator[events.AnyEvent]:
        while not self._found.empty():
            yield self._found.get_nowait()

    def close(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        before = self._now()
        while not self._ended.wait(TICK_S):
            now = self._now()
            if now - before >= TICK_S + LATE_S:
                self._found.put(events.HarnessPaused(at=now, seconds=round(now - before, 3)))
            before = now
