"""What is left at the end of a block, when everything has settled."""

from __future__ import annotations

import msgspec

from stress.events.base import Event


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
