"""The Execution API's answers to the hollow workers, by the workers' own records, summed per look.

Also each report of a task whose DAG asks for it (`recorded`); successes that were answered as stored, which can be
compared with the states at the end; and double starts: two workers that were both allowed to start one try of one task
instance. A second start is correct only after the first worker has deferred the task: a task that resumes after its
deferral keeps its id and its try. A deferral that was answered with a server error or not at all counts, because it can
have been stored; one that was refused does not.

The records of all workers are compared at the end of the block, in the order of their times: the two workers usually
belong to different schedulers and write to different files, which are not read at the same moment.
"""

from __future__ import annotations

import bisect
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from stress import events
from stress.cluster.base import Cluster
from stress.observers.base import Observer
from stress.observers.tail import DirectoryTail

BOUNDS_S = events.API_BOUNDS_S


class ExecutionApi(Observer):
    """Follows `execution_api/` in the shared directory, one file a worker process."""

    name = "execution_api"

    def __init__(self, cluster: Cluster) -> None:
        self._tail = DirectoryTail(cluster.shared / "execution_api")
        self._starts: dict[tuple[str, int], list[events.WorkerIdentity]] = defaultdict(list)
        self._deferrals: dict[str, list[float]] = defaultdict(list)

    def poll(self) -> Iterator[events.AnyEvent]:
        durations: dict[tuple[str, int], list[float]] = defaultdict(list)
        acknowledged: list[str] = []
        answered: list[tuple[float, float]] = []
        for _, line in self._tail.lines():
            answer = json.loads(line)
            durations[answer["op"], answer["code"]].append(answer["s"])
            if answer.get("reported") == "success" and 200 <= answer["code"] < 300:
                acknowledged.append(answer["ti"])
                answered.append((round(answer["t"] - answer["s"], 3), round(answer["t"], 3)))
            elif not 200 <= answer["code"] < 300:
                yield events.WorkerRefused(
                    at=round(answer["t"], 3), id=answer["ti"], operation=answer["op"], code=answer["code"]
                )
            if "dag" in answer:
                yield _report(answer)
            self._note(answer)
        if acknowledged:
            yield events.SuccessAcknowledged(task_instances=acknowledged, answered=answered)
        for (operation, code), seconds in durations.items():
            buckets = [0] * (len(BOUNDS_S) + 1)
            for duration in seconds:
                buckets[bisect.bisect_left(BOUNDS_S, duration)] += 1
            yield events.ApiAnswered(
                operation=operation,
                code=code,
                count=len(seconds),
                seconds=round(sum(seconds), 6),
                buckets=buckets,
                bounds=list(BOUNDS_S),
            )

    def finish(self) -> Iterator[events.AnyEvent]:
        yield from self.poll()
        for (ti, try_number), starts in self._starts.items():
            starts.sort(key=lambda start: start.at)
            for index, second in enumerate(starts[1:], start=1):
                first = starts[index - 1]
                deferred = any(first.at <= at <= second.at for at in self._deferrals[ti])
                if not deferred:
                    yield events.DoubleStart(id=ti, try_number=try_number, first=first, second=second)

    def _note(self, answer: dict[str, Any]) -> None:
        """Remember what distinguishes a double start from a resumed task."""
        if answer["op"] == "defer" and not 400 <= answer["code"] < 500:
            # The time of the request, not of its answer: the task can be resumed before the answer arrives.
            self._deferrals[answer["ti"]].append(answer["t"] - answer["s"])
        elif answer["op"] == "run" and 200 <= answer["code"] < 300 and "worker" in answer:
            hostname, unixname, pid = answer["worker"]
            worker = events.WorkerIdentity(at=answer["t"], hostname=hostname, unixname=unixname, pid=pid)
            known = self._starts[answer["ti"], answer["try"]]
            # One worker that repeats its request (the first answer was lost) has started the task once.
            if not any((one.hostname, one.pid) == (hostname, pid) for one in known):
                known.append(worker)


def _report(answer: dict[str, Any]) -> events.ReportAnswered:
    """The report of a task whose DAG asks for its record."""
    return events.ReportAnswered(
        at=answer["t"],
        sent_at=round(answer["t"] - answer["s"], 6),
        id=answer["ti"],
        dag=answer["dag"],
        run=answer["run"],
        task=answer["task"],
        try_number=answer["try"],
        state=answer["reported"],
        code=answer["code"],
        next_method=answer["next_method"],
        next_event=answer["next_event"],
    )
