"""The Execution API's answers to the hollow workers, by the workers' own records, summed per look.

With `keep_ids`, also which task instances a worker was told are stored as successful: what is stored in the end can be
held against it.
"""

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

    def __init__(self, cluster: Cluster, *, keep_ids: bool = False) -> None:
        self._keep_ids = keep_ids
        self._tail = DirectoryTail(cluster.shared / "execution_api")

    def poll(self) -> Iterator[events.AnyEvent]:
        durations: dict[tuple[str, int], list[float]] = defaultdict(list)
        acknowledged: list[str] = []
        for _, line in self._tail.lines():
            answer = json.loads(line)
            durations[answer["op"], answer["code"]].append(answer["s"])
            if answer.get("reported") == "success" and 200 <= answer["code"] < 300:
                acknowledged.append(answer["ti"])
        if acknowledged and self._keep_ids:
            yield events.SuccessAcknowledged(task_instances=acknowledged)
        for (operation, code), seconds in durations.items():
            buckets = [0] * (len(API_BUCKETS_S) + 1)
            for duration in seconds:
                buckets[bisect.bisect_left(API_BUCKETS_S, duration)] += 1
            yield events.ApiAnswered(
                operation=operation, code=code, count=len(seconds), seconds=round(sum(seconds), 6), buckets=buckets
            )
