"""What can be in a history: one frozen type per kind of event.

An event says what was seen, by whom, in a form that a checker can use years later; it never says what it means. The
envelope around it (sequence number, time, block, checksum) belongs to `history.py`. Times inside events are unix
seconds, and are there only where the thing itself carries an earlier time than its observation.

A kind is never renamed and a field never changes its meaning: a new one is added, with a default.
"""

from __future__ import annotations

import msgspec

from stress.results import ArmCode

API_BOUNDS_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 10.0, 30.0),
)
"""The upper bounds of `ApiAnswered.buckets` that are recorded now, in seconds. Below 1 s they are narrow enough to show
100 ms more; each event names its own, so that they can change."""

_UNNAMED_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The bounds of events from before they were named. Never to be changed."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all events."""


# -- the run and its blocks ------------------------------------------------------------------------------------------


class ArmPlanned(Event, frozen=True, kw_only=True, tag="arm_planned"):
    """One arm of the plan, in order; the first is the control, the last is under test.

    `fix_roles` has, for each fix, the roles whose processes must load it; histories of schema 2 and before have none.
    """

    name: str
    airflow: str
    fixes: list[str]
    config: dict[str, str] = {}
    code: ArmCode | None = None
    fix_roles: dict[str, list[str]] = {}


class RunPlanned(Event, frozen=True, kw_only=True, tag="run_planned"):
    """The run's identity and what it is asked to decide."""

    run_id: str
    seed: int
    races: list[str]
    scenarios: list[str]


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


class LoadStopped(Event, frozen=True, kw_only=True, tag="load_stopped"):
    """No more load. `seconds` is how long it lasted."""

    seconds: float


class BlockEnded(Event, frozen=True, kw_only=True, tag="block_ended"):
    """The block is over. Only a complete block (settled, all observers read to the end) can decide anything."""

    complete: bool
    reason: str = ""


class ComponentStarted(Event, frozen=True, kw_only=True, tag="component_started"):
    """A component's process was started; `restarts` counts from 0."""

    component: str
    pid: int
    restarts: int


class ComponentExited(Event, frozen=True, kw_only=True, tag="component_exited"):
    """A component's process ended by itself (or by a fault); negative codes are signals."""

    component: str
    pid: int
    code: int
    out_of_memory: bool = False


class FaultInjected(Event, frozen=True, kw_only=True, tag="fault_injected"):
    """A fault begins. `number` counts a block's faults from 0; `planned_s` is how long it is to last, 0 for a blow.

    `target` is a component's name, or `postgres`; `detail` the fault's own numbers, such as a delay.
    """

    number: int
    fault: str
    target: str
    planned_s: float
    detail: str = ""


class FaultHealed(Event, frozen=True, kw_only=True, tag="fault_healed"):
    """A fault was undone, or ended by itself; `seconds` is how long it lasted. `error`: why it could not be undone.

    `missed`: its target ended just before, so that nothing was broken.
    """

    number: int
    fault: str
    target: str
    seconds: float
    error: str = ""
    missed: bool = False


class ComponentsHealthy(Event, frozen=True, kw_only=True, tag="components_healthy"):
    """After all faults were healed: how long until every component gave a sign of life; `missing` did not."""

    seconds: float
    missing: list[str]


class FixReported(Event, frozen=True, kw_only=True, tag="fix_reported"):
    """An Airflow process said what it did with a fix: armed, loaded, not_needed, refused, error."""

    component: str
    pid: int
    fix: str
    status: str
    detail: str


class CpuUsed(Event, frozen=True, kw_only=True, tag="cpu_used"):
    """CPU seconds of the load by component, PostgreSQL (`postgres`) included.

    A component is its whole process tree, with the children that it has reaped; hollow workers count for their
    scheduler. A process that ended during the load counts up to its last sample, at most 5 s before its end.
    A component without any reading is absent.
    """

    seconds: dict[str, float]


class HarnessPaused(Event, frozen=True, kw_only=True, tag="harness_paused"):
    """The harness itself did not run for `seconds` before `at`: the whole machine was paused or starved."""

    at: float
    seconds: float


class MemorySampled(Event, frozen=True, kw_only=True, tag="memory_sampled"):
    """Proportional set size of the cluster (components and PostgreSQL) and of the harness with its load generator."""

    cluster_bytes: int
    harness_bytes: int


# -- observers -------------------------------------------------------------------------------------------------------


class ObserverUp(Event, frozen=True, kw_only=True, tag="observer_up"):
    """The observer sees its source in this block."""

    observer: str


class ObserverBlind(Event, frozen=True, kw_only=True, tag="observer_blind"):
    """The observer could not see for a time that can't be read again; what it reports is a lower bound."""

    observer: str
    reason: str


class DeadlockSide(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of a deadlock: its server process, its component, its statement, the lock that it waited for."""

    pid: int
    component: str
    statement: str
    waits_for: str
    signature: str


class DeadlockSeen(Event, frozen=True, kw_only=True, tag="deadlock_seen"):
    """PostgreSQL ended a cycle of transactions. `victim` is the component whose transaction was aborted."""

    at: float
    victim: str
    context: str
    sides: list[DeadlockSide]


class LockTimeoutSeen(Event, frozen=True, kw_only=True, tag="lock_timeout_seen"):
    """PostgreSQL ended `count` statements of one kind because of a lock, a time-out or a serialisation failure.

    `code` is the SQLSTATE: 55P03 (a lock is not available: NOWAIT or lock_timeout), 57014 (cancelled: statement_timeout
    or a request) or 40001. `statement` is the statement's bounded signature, `at` the time of the first of them.
    """

    at: float
    component: str
    code: str
    statement: str
    count: int = 1


class DatabaseSampled(Event, frozen=True, kw_only=True, tag="database_sampled"):
    """The block's database: counters cumulated since its creation, and how many sessions and waits for a lock now."""

    deadlocks: int
    commits: int
    rollbacks: int
    sessions: int
    lock_waits: int = 0


class FrameError(Event, frozen=True, kw_only=True, tag="frame_error"):
    """A triggerer's log shows a broken exchange between runner and supervisor.

    `error` is `out_of_order` (with both frame ids), `foreign_loop`, or `runner_failed`; `line` is the log line, cut.
    """

    at: float
    component: str
    error: str
    got: int | None
    expected: int | None
    line: str


class RunnerDied(Event, frozen=True, kw_only=True, tag="runner_died"):
    """A triggerer's supervisor found its trigger runner dead."""

    at: float
    component: str


class CancellationDelivered(Event, frozen=True, kw_only=True, tag="cancellation_delivered"):
    """A trigger was cancelled, by its own receipt.

    `in_request` is whether it waited for an answer of the supervisor then; `next_frame` the id that the runner's next
    request would get (None on a release without such a counter).
    """

    at: float
    component: str
    pid: int
    trigger: int | None
    in_request: bool
    next_frame: int | None


class CancelledAnswer(Event, frozen=True, kw_only=True, tag="cancelled_answer"):
    """What a cancelled trigger got when it asked for its task's state: a state or an error."""

    at: float
    component: str
    pid: int
    trigger: int | None
    state: str | None
    error: str | None


class ReplyMisrouted(Event, frozen=True, kw_only=True, tag="reply_misrouted"):
    """A trigger asked for the state of its own task and the answer was about another, by the trigger's own receipt.

    `expected` is the trigger's own run and task, `got` what the answer had in their place.
    """

    at: float
    component: str
    pid: int
    trigger: int | None
    expected: str
    got: str


class TriggersProgressed(Event, frozen=True, kw_only=True, tag="triggers_progressed"):
    """A runner's own count of finished polls since its start, and of the polling triggers that it runs now."""

    at: float
    component: str
    pid: int
    polls: int
    active: int


class TriggersOwned(Event, frozen=True, kw_only=True, tag="triggers_owned"):
    """How many polling triggers the database assigns to each triggerer (component name) now."""

    owned: dict[str, int]


class TriggerOwnerChanged(Event, frozen=True, kw_only=True, tag="trigger_owner_changed"):
    """A trigger was first seen or changed its owner. `callback` is whether it runs a deadline's callback."""

    trigger: int
    callback: bool
    owner: str | None


class CallbackExecuted(Event, frozen=True, kw_only=True, tag="callback_executed"):
    """A deadline's callback ran, by its own receipt: once per execution."""

    at: float
    component: str
    pid: int
    deadline: str
    trigger: int | None


class DeadlinesMissed(Event, frozen=True, kw_only=True, tag="deadlines_missed"):
    """The deadlines that the schedulers handled as missed in this block, by the database."""

    deadlines: list[str]


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


class LoadActed(Event, frozen=True, kw_only=True, tag="load_acted"):
    """The load generator did something that matters to a checker's reading of the history."""

    at: float
    action: str
    count: int


class LoadReported(Event, frozen=True, kw_only=True, tag="load_reported"):
    """The load generator's own statistics of one kind of request, for the whole block."""

    name: str
    requests: int
    failures: int
    median_ms: float
    p95_ms: float


class TasksCounted(Event, frozen=True, kw_only=True, tag="tasks_counted"):
    """Task instances by state at the end of the block; tries that were cleared are in `success` only once."""

    by_state: dict[str, int]


class StaleVersionsCounted(Event, frozen=True, kw_only=True, tag="stale_versions_counted"):
    """Unfinished task instances of running runs whose DAG version is not the newest, after the settling time.

    `behind_their_run` are those whose version is older than that of another unfinished task instance of their run: the
    refresh of the run left them out, and will not come back for them. `passed_over` are those that had a state before
    that version existed, seen at any look during the block (`observers/versions.py`). None: not counted.
    """

    task_instances: int
    behind_their_run: int | None = None
    passed_over: int | None = None


class SuccessAcknowledged(Event, frozen=True, kw_only=True, tag="success_acknowledged"):
    """The ids of task instances whose workers reported success and were told (2xx) that it is stored."""

    task_instances: list[str]


class ReportAnswered(Event, frozen=True, kw_only=True, tag="report_answered"):
    """A worker reported a task's end, and was answered. Only for tasks whose DAG asks for it (`recorded`).

    `id` is the task instance, `state` what was reported, `sent_at` and `at` when (unix seconds) the request was made
    and answered; code 0 is no answer at all. A request that is made again is a report of its own. A task that was
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


class BlockSettled(Event, frozen=True, kw_only=True, tag="block_settled"):
    """The settling time of a block is over, `seconds` after it began.

    `callbacks` deadlines and callbacks and `tasks` finite task instances and runs still waited then; none of them had
    changed for `..._unchanged_s`. `..._needed_s` is the time in which Airflow, as configured, comes to the rescue of
    what waits so: what has not changed for longer stays as it is. Without faults (`drained` is false) no run is awaited
    to its end, and only tasks that have not changed since the settling began are waiting.
    """

    seconds: float
    callbacks: int
    callbacks_unchanged_s: float
    callbacks_needed_s: float
    tasks: int
    tasks_unchanged_s: float
    tasks_needed_s: float
    drained: bool = True


class PassedDeadline(msgspec.Struct, frozen=True, kw_only=True):
    """A deadline whose time has passed, as the database has it at the end of the block.

    `handled`: a scheduler marked it as missed. `state` is its callback's, `trigger` the id of the trigger that is to
    run it, as the callback's row has it; `trigger_exists` whether that trigger has a row. `owner` is the component that
    the trigger is assigned to, `owner_ended` whether that component's job ended in order, and `owner_silent_s` the
    seconds since its last heartbeat (None: no owner, or no such job).
    """

    id: str
    due_at: float
    handled: bool
    state: str | None
    trigger: int | None
    trigger_exists: bool
    owner: str | None
    owner_ended: bool = False
    owner_silent_s: float | None = None


class DeadlinesPassed(Event, frozen=True, kw_only=True, tag="deadlines_passed"):
    """All deadlines whose time has passed, handled or not, at the end of a block."""

    deadlines: list[PassedDeadline]


class UnfinishedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A finite task instance that is not `success` at the end of the block.

    `state` is `none` for one without; `run_state` its run's. `earlier_try`: the row is one of an earlier try, kept
    after a clear or for a retry. `queued_by` is the scheduler that queued it, `owner` the triggerer that its trigger is
    assigned to. `changed_at` is when its row was last written (unix seconds), `detail` what else is known. `stood`: it
    has not changed since the settling began.
    """

    id: str
    dag: str
    run: str
    task: str
    try_number: int
    state: str
    run_state: str
    earlier_try: bool = False
    queued_by: str | None = None
    owner: str | None = None
    changed_at: float | None = None
    detail: str = ""
    stood: bool = True


class UnfinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a finite DAG that is not `success` at the end of the block, with its task instances by state.

    `stood`: nothing of it has changed since the settling began.
    """

    dag: str
    run: str
    state: str
    by_state: dict[str, int]
    changed_at: float | None = None
    stood: bool = True


class FiniteTasksCounted(Event, frozen=True, kw_only=True, tag="finite_tasks_counted"):
    """At the end of a block: the task instances of finite DAGs whose runs were there when the settling began (`total`,
    each once however often it was tried), those that are not `success`, and the runs likewise."""

    total: int
    unfinished: list[UnfinishedTask]
    runs: list[UnfinishedRun]


AnyEvent = (
    ArmPlanned
    | RunPlanned
    | BlockStarted
    | ClusterReady
    | PhaseEnded
    | LoadStarted
    | LoadStopped
    | BlockEnded
    | ComponentStarted
    | ComponentExited
    | FaultInjected
    | FaultHealed
    | ComponentsHealthy
    | FixReported
    | CpuUsed
    | HarnessPaused
    | MemorySampled
    | ObserverUp
    | ObserverBlind
    | DeadlockSeen
    | LockTimeoutSeen
    | DatabaseSampled
    | FrameError
    | RunnerDied
    | CancellationDelivered
    | CancelledAnswer
    | ReplyMisrouted
    | TriggersProgressed
    | TriggersOwned
    | TriggerOwnerChanged
    | CallbackExecuted
    | DeadlinesMissed
    | ApiAnswered
    | DoubleStart
    | LoadActed
    | LoadReported
    | TasksCounted
    | StaleVersionsCounted
    | SuccessAcknowledged
    | ReportAnswered
    | RequestAnswered
    | BlockSettled
    | DeadlinesPassed
    | FiniteTasksCounted
)
