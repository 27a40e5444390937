"""The Execution API's answers to the hollow workers, by the workers' own records, summed per look."""

from __future__ import annotations

import bisect
import json
from collections import defaultdict
from collections.abc import Iterator

from stress import events
from stress.cluster.base import Cluster
from stress.metrics import API_BUCKETS_S
from stress.observers.base import Observer
from stress.observers.tail import DirectoryTail


class ExecutionApi(Observer):
    """Follows `execution_api/` in the shared directory, one file a worker process."""

    name = "execution_api"

    def __init__(self, cluster: Cluster) -> None:
        self._tail = DirectoryTail(cluster.shared / "execution_api")

    def poll(self) -> Iterator[events.AnyEvent]:
        durations: dict[tuple[str, int], list[float]] = defaultdict(list)
        for _, line in self._tail.lines():
            answer = json.loads(line)
            durations[answer["op"], answer["code"]].append(answer["s"])
        for (operation, code), seconds in durations.items():
            buckets = [0] * (len(API_BUCKETS_S) + 1)
            for duration in seconds:
                buckets[bisect.bisect_left(API_BUCKETS_S, duration)] += 1
            yield events.ApiAnswered(
                operation=operation, code=code, count=len(seconds), seconds=round(sum(seconds), 6), buckets=buckets
            )
