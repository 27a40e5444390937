"""What the Execution API answers to workers."""

from __future__ import annotations

import msgspec

from stress.events.base import Event

API_BOUNDS_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 10.0, 30.0),
)
"""The upper bounds of `ApiAnswered.buckets` that are recorded now, in seconds. Below 1 s they are narrow enough to show
100 ms more; each event names its own, so that they can change."""

_UNNAMED_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The bounds of events from before they were named. Never to be changed."""


class ApiAnswered(Event, frozen=True, kw_only=True, tag="api_answered"):
    """Execution API answers to the workers, summed over about a second. Code 0 is no answer at all.

    `buckets` counts durations up to each of `bounds` (seconds), the rest in the last place.
    """

    operation: str
    code: int
    count: int
    seconds: float
    buckets: list[int]
    bounds: list[float] = msgspec.field(default_factory=lambda: list(_UNNAMED_BOUNDS_S))


class WorkerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it introduces itself to the Execution API, and when its start was answered."""

    at: float
    hostname: str
    unixname: str
    pid: int


class DoubleStart(Event, frozen=True, kw_only=True, tag="double_start"):
    """Two workers were both allowed to start one try of one task instance, and the first had not deferred it before."""

    id: str
    try_number: int
    first: WorkerIdentity
    second: WorkerIdentity


class SuccessAcknowledged(Event, frozen=True, kw_only=True, tag="success_acknowledged"):
    """The ids of task instances whose workers reported success and were answered (2xx) that it is stored.

    `answered` has, for each, when the report was made and when it was answered (unix seconds); histories of before the
    change feed have no such times.
    """

    task_instances: list[str]
    answered: list[tuple[float, float]] = msgspec.field(default_factory=list)


class WorkerRefused(Event, frozen=True, kw_only=True, tag="worker_refused"):
    """A worker's request about its task was not answered 2xx (code 0: not at all), so that it may end without success.

    `operation` is `run`, `defer`, or the state that was reported.
    """

    at: float
    id: str
    operation: str
    code: int


class ReportAnswered(Event, frozen=True, kw_only=True, tag="report_answered"):
    """A worker reported a task's end, and was answered. Only for tasks whose DAG asks for it (`recorded`).

    `id` is the task instance, `state` what was reported, `sent_at` and `at` when (unix seconds) the request was made
    and answered; code 0 is no answer at all. A repeated request is a separate report. A task that was
    deferred was resumed with `next_method`, and with a trigger's event if `next_event`.
    """

    at: float
    sent_at: float
    id: str
    dag: str
    run: str
    task: str
    try_number: int
    state: str
    code: int
    next_method: str | None = None
    next_event: bool = False
