"""The passes of the schedulers' loops, by the records that the mounted part leaves (`airflow_stress_loops.py`).

A release on which the loop cannot be timed leaves none: the history then has no event, and no duration is judged.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from stress import events
from stress.cluster.base import Cluster
from stress.observers.base import Observer
from stress.observers.tail import DirectoryTail


class SchedulerLoops(Observer):
    """Follows `scheduler_loops/` in the shared directory, one file a scheduler process."""

    name = "scheduler_loops"

    def __init__(self, cluster: Cluster) -> None:
        self._tail = DirectoryTail(cluster.shared / "scheduler_loops")

    def poll(self) -> Iterator[events.AnyEvent]:
        seconds: dict[str, list[float]] = defaultdict(list)
        for name, line in self._tail.lines():
            seconds[name.rpartition("-")[0]].append(json.loads(line)["s"])
        for component, passes in seconds.items():
            yield events.SchedulerLooped(component=component, seconds=passes)
