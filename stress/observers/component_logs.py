"""The triggerers' logs: broken exchanges between runner and supervisor, and runners found dead.

Only facts that Airflow reports nowhere else are read from logs. A log that vanishes, shrinks or is replaced makes the
observer blind for the block.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from stress import events
from stress.cluster.base import Cluster
from stress.components import role_of
from stress.observers.base import Observer
from stress.observers.tail import Tail

_OUT_OF_ORDER = re.compile(rb"Response read out of order! Got frame\.id=(\d+), expect_id=(\d+)")
_FOREIGN_LOOP = re.compile(rb"is bound to a different event loop|attached to a different loop")
_RUNNER_DIED = b"Trigger runner process has died"
_RUNNER_FAILED = b"Trigger runner failed"
_TIMESTAMP = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+)Z")
_MAX_LINE = 400


class ComponentLogs(Observer):
    """Follows the logs of all triggerers of a block."""

    name = "component_logs"

    def __init__(self, cluster: Cluster) -> None:
        self._tails: dict[str, Tail] = {}
        self._cluster = cluster
        self._times: dict[str, float] = {}
        self._looked_at = time.time()

    def start(self) -> None:
        self._looked_at = time.time()
        for component in self._cluster.components:
            if role_of(component.name) == "triggerer":
                self._follow(component.name, component.log_file)

    def _follow(self, name: str, path: Path) -> None:
        tail = Tail(path)
        tail.lines()
        self._tails[name] = tail

    def poll(self) -> Iterator[events.AnyEvent]:
        looked_at, self._looked_at = self._looked_at, time.time()
        for component, tail in self._tails.items():
            for line in tail.lines():
                # Lines of a traceback have no time: they were written after the last line that has one,
                # and after our last look (a log can be silent for seconds before a traceback).
                if match := _TIMESTAMP.match(line):
                    at = datetime.strptime(match[1].decode(), "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
                    self._times[component] = at
                else:
                    at = max(self._times.get(component, 0.0), looked_at)
                yield from _events_of(component, at, line)


def _events_of(component: str, at: float, line: bytes) -> Iterator[events.AnyEvent]:
    text = line[:_MAX_LINE].decode(errors="replace").strip()
    if match := _OUT_OF_ORDER.search(line):
        yield events.FrameError(
            at=at, component=component, error="out_of_order", got=int(match[1]), expected=int(match[2]), line=text
        )
    elif _FOREIGN_LOOP.search(line):
        yield events.FrameError(at=at, component=component, error="foreign_loop", got=None, expected=None, line=text)
    elif _RUNNER_FAILED in line:
        yield events.FrameError(at=at, component=component, error="runner_failed", got=None, expected=None, line=text)
    if _RUNNER_DIED in line:
        yield events.RunnerDied(at=at, component=component)
