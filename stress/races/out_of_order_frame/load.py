"""The load that ends runs whose triggers poll."""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import ClassVar

from locust import constant, task

from stress.load.users import SETTINGS, SHARED, START, ApiUser, act, together
from stress.races.out_of_order_frame.scenario import ENDLESS


class QueryCanceller(ApiUser):
    """Keeps runs whose triggers poll in both triggerers, and ends all at once: as failed and as successful in turn.

    The number of times is bounded, so that an arm whose triggerers survive gets no more of them than one whose
    triggerers have to start again.
    """

    fixed_count = 1
    waits = False
    gives_start = True
    wait_time = constant(0.2)
    _STATES: ClassVar = itertools.cycle(["failed", "success"])

    def on_start(self) -> None:
        super().on_start()
        self._runs: list[str] = []
        self._polling_since: float | None = None
        self._started_at = 0.0
        self._bursts = 0

    @task
    def cycle(self) -> None:
        """Start runs; when triggers have been polling in every triggerer for a while, end all of them together."""
        if self._bursts >= SETTINGS.cancel_bursts:
            return
        if not self._runs:
            started = together(lambda: self.trigger(ENDLESS, "endless"), [()] * SETTINGS.cancel_runs)
            self._runs = [run for run in started if run is not None]
            act("endless_runs_started", len(self._runs))
            self._started_at = time.monotonic()
        elif polling_triggerers() < 2 and not self._patience_is_over():
            self._polling_since = None
        elif self._polling_since is None:
            self._polling_since = time.monotonic()
            START.give()
        elif time.monotonic() - self._polling_since >= SETTINGS.cancel_settle_s and START.seconds() >= self._due_s():
            runs, self._runs = self._runs, []
            act("runs_ended", self.mark(ENDLESS, runs, next(self._STATES)))
            self._polling_since = None
            self._bursts += 1

    def _patience_is_over(self) -> bool:
        """A runner that hangs never answers a trigger: the load must begin nevertheless, and show it."""
        return time.monotonic() - self._started_at >= SETTINGS.warm_up_s

    def _due_s(self) -> float:
        """The earliest next time, in seconds of load."""
        return SETTINGS.cancel_first_s + self._bursts * SETTINGS.cancel_period_s


def polling_triggerers(within_s: float = 2.0, at_least: int = 4) -> int:
    """Triggerers that reported, a moment ago, at least so many polling triggers with answered polls."""
    polling = set()
    now = time.time()
    for path in (SHARED / "receipts").glob("progress-*.jsonl"):
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 400))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
        try:
            receipt = json.loads(last)
        except ValueError:
            continue
        if now - receipt["t"] <= within_s and receipt["active"] >= at_least and receipt["polls"] >= at_least:
            polling.add(receipt["component"])
    return len(polling)
