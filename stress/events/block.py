"""A block from its start to its end: its cluster, its load, its observers, and what its tasks came to."""

from __future__ import annotations

from stress.events.base import Event


class BlockStarted(Event, frozen=True, kw_only=True, tag="block_started"):
    """An arm's turn begins."""

    arm: str


class ClusterReady(Event, frozen=True, kw_only=True, tag="cluster_ready"):
    """Every component answered its health condition, `seconds` after the start."""

    seconds: float


class PhaseEnded(Event, frozen=True, kw_only=True, tag="phase_ended"):
    """A phase of the block (`phases.PHASES`) is over, `seconds` after its begin."""

    phase: str
    seconds: float


class LoadStarted(Event, frozen=True, kw_only=True, tag="load_started"):
    """The bounded time of load begins; incidents are timed from here."""


class LoadActed(Event, frozen=True, kw_only=True, tag="load_acted"):
    """The load generator did something that matters to a checker's reading of the history."""

    at: float
    action: str
    count: int


class RequestAnswered(Event, frozen=True, kw_only=True, tag="request_answered"):
    """A user of the load asked the REST API to change a task or a run, and was answered.

    `request` is `mark_task`, `mark_run` or `clear_task`, `state` what a mark asks for, `task` empty where it is about
    the whole run. `sent_at` and `at` (unix seconds) are when the request was made and answered; code 0 is no answer at
    all. `changed` is how many task instances the answer names, None where it names none.
    """

    at: float
    sent_at: float
    request: str
    dag: str
    run: str
    task: str
    state: str
    code: int
    changed: int | None = None


class RequestSent(Event, frozen=True, kw_only=True, tag="request_sent"):
    """A user of the load begins such a request. One that the end of the load cuts off has no `RequestAnswered`."""

    sent_at: float
    request: str
    dag: str
    run: str
    task: str
    state: str


class LoadReported(Event, frozen=True, kw_only=True, tag="load_reported"):
    """The load generator's own statistics of one kind of request, for the whole block."""

    name: str
    requests: int
    failures: int
    median_ms: float
    p95_ms: float


class LoadStopped(Event, frozen=True, kw_only=True, tag="load_stopped"):
    """No more load. `seconds` is how long it lasted."""

    seconds: float


class ObserverUp(Event, frozen=True, kw_only=True, tag="observer_up"):
    """The observer sees its source in this block."""

    observer: str


class ObserverBlind(Event, frozen=True, kw_only=True, tag="observer_blind"):
    """The observer could not see for a time that can't be read again; what it reports is a lower bound."""

    observer: str
    reason: str


class TasksCounted(Event, frozen=True, kw_only=True, tag="tasks_counted"):
    """Task instances by state at the end of the block; tries that were cleared are in `success` only once."""

    by_state: dict[str, int]


class TaskDelays(Event, frozen=True, kw_only=True, tag="task_delays"):
    """How long the task instances that were queued under load waited, in seconds, ascending.

    `scheduled_s` is from scheduled to queued: the scheduler's loop. `queued_s` is from queued to the start that its
    worker reports: the executor. A task instance that resumes after a deferral keeps its first start, so that it is
    only in the first. Of a repeated one the last try counts.
    """

    scheduled_s: list[float]
    queued_s: list[float]


class StaleVersionsCounted(Event, frozen=True, kw_only=True, tag="stale_versions_counted"):
    """Unfinished task instances of running runs whose DAG version is not the newest, after the settling time.

    `behind_their_run` are those whose version is older than that of another unfinished task instance of their run: the
    refresh of the run left them out, and will not come back for them. `passed_over` are those that had a state before
    that version existed, seen at any look during the block (`observers/versions.py`). None: not counted.
    """

    task_instances: int
    behind_their_run: int | None = None
    passed_over: int | None = None


class BlockEnded(Event, frozen=True, kw_only=True, tag="block_ended"):
    """The block is over. Only a complete block (settled, all observers read to the end) can decide anything."""

    complete: bool
    reason: str = ""
