"""The pairs: who races, and on what. Data only; the harness reads it, too.

A pair is a line: its operations (A, B, ... in this order; two or more) and the ingredients of the state that they begin
with (`fixtures.py`). One operation is not Airflow's and takes one step: `time_passes`, which advances the clock that
the others see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Pair:
    """Operations that race."""

    operations: tuple[str, ...]
    state: tuple[str, ...]
    note: str = ""
    variant: str = ""
    row_steps: bool = False
    """Whether the search also stops between the rows of one statement (`rows.py`): many more schedules."""

    since: tuple[int, int] = (3, 1)
    """The first minor version of Airflow that has what the pair is about."""

    @property
    def name(self) -> str:
        """As one types it."""
        return "+".join(self.operations) + (f":{self.variant}" if self.variant else "")


_RUNNING = ("running_run",)
_HALF_FAILED = ("half_failed_run",)
_DEFERRED = ("deferred_run", "two_schedulers")
_OWNED = (*_DEFERRED, "trigger_owner")

_PAIRS = (
    Pair(("state_update", "dag_version_refresh"), ("running_run", "new_version"), "a task ends, its DAG is new"),
    Pair(("deadline_check", "deadline_check"), ("running_run", "expired_deadline"), "two schedulers, one deadline"),
    Pair(
        ("trigger_assignment", "trigger_assignment"),
        ("running_run", "callback_trigger", "two_triggerers"),
        "two triggerers, one callback's trigger",
    ),
    Pair(
        ("trigger_assignment", "trigger_assignment"),
        ("deferred_run", "two_triggerers"),
        "two triggerers, one task's trigger",
        variant="task",
    ),
    Pair(("state_update", "run_scheduling"), _RUNNING, "a task ends, its run is examined"),
    Pair(("state_update", "state_update"), _RUNNING, "two tasks of a run end"),
    Pair(("failure", "failure"), ("fail_fast_run",), "two tasks of a fail_fast DAG fail"),
    Pair(("failure", "state_update"), ("fail_fast_run",), "of a fail_fast DAG one task fails, one ends well"),
    Pair(("failure", "run_scheduling"), ("fail_fast_run",), "a task of a fail_fast DAG fails, its run is examined"),
    Pair(("failure", "clearing"), ("fail_fast_run",), "a task of a fail_fast DAG fails while a user clears it"),
    Pair(("failure", "marking"), ("fail_fast_run",), "a task of a fail_fast DAG fails while a user marks it"),
    Pair(("clearing", "failure"), ("fail_fast_run",), "a user clears a task that another one's failure ends"),
    Pair(("marking", "failure"), ("fail_fast_run",), "a user marks a task that another one's failure ends"),
    Pair(("asset_update", "asset_update"), ("running_run", "asset_consumers"), "two tasks with the same two outlets"),
    Pair(
        ("asset_update", "asset_update"),
        ("two_runs", "asset_consumers"),
        "the same, of two DAGs' runs",
        variant="two_runs",
    ),
    Pair(
        ("asset_update", "asset_update"),
        ("two_runs", "partition_consumer"),
        "two tasks with the same two outlets, whose partitions a DAG waits for",
        variant="partitions",
        since=(3, 2),
    ),
    Pair(("same_asset_update", "same_asset_update"), ("running_run", "asset_consumers"), "two tasks with one outlet"),
    Pair(
        ("same_asset_update", "same_asset_update"),
        ("two_runs", "asset_consumers"),
        "the same, of two DAGs' runs",
        variant="two_runs",
    ),
    Pair(("state_update", "marking"), _RUNNING, "a task ends while a user marks it failed"),
    Pair(("state_update", "clearing"), _RUNNING, "a task ends while a user clears it"),
    Pair(("heartbeat", "clearing"), _RUNNING, "a task's heartbeat while a user clears it"),
    Pair(("deferral", "clearing"), _RUNNING, "a task defers while a user clears it"),
    Pair(("deferral", "marking"), _RUNNING, "a task defers while a user marks it failed"),
    Pair(("deferral", "dag_version_refresh"), ("running_run", "new_version"), "a task defers, its DAG is new"),
    Pair(("enter_running", "enter_running"), ("queued_run",), "two workers start one task"),
    Pair(("enter_running", "orphan_adoption"), ("queued_run", "dead_scheduler"), "a task starts while it is reset"),
    Pair(("enter_running", "marking"), ("queued_run",), "a task starts while a user marks it failed"),
    Pair(("enter_running", "clearing"), ("queued_run",), "a task starts while a user clears it"),
    Pair(("enter_running", "dag_version_refresh"), ("queued_run", "new_version"), "a task starts, its DAG is new"),
    Pair(("trigger_event", "timeout_sweep"), _DEFERRED, "a trigger fires as its task times out"),
    Pair(("trigger_event", "trigger_event"), _DEFERRED, "two triggerers hand in one trigger's event"),
    Pair(("trigger_event", "clearing"), _DEFERRED, "a trigger fires while a user clears its task"),
    Pair(("trigger_event", "marking"), _DEFERRED, "a trigger fires while a user marks its task failed"),
    Pair(("trigger_event", "dag_version_refresh"), (*_DEFERRED, "new_version"), "a trigger fires, the DAG is new"),
    Pair(("trigger_event", "executor_events"), _DEFERRED, "a trigger fires before the executor's event is heard"),
    Pair(("trigger_event", "trigger_cleanup"), _DEFERRED, "a trigger fires during a clean-up"),
    Pair(("trigger_event", "run_scheduling"), _DEFERRED, "a trigger fires while its task's run is examined"),
    Pair(("trigger_event", "trigger_assignment"), (*_DEFERRED, "two_triggerers"), "a trigger fires while it is taken"),
    Pair(("trigger_event", "trigger_failure"), _OWNED, "a trigger fires in one triggerer, and fails in another"),
    Pair(("trigger_failure", "timeout_sweep"), _OWNED, "a trigger fails as its task times out"),
    Pair(("trigger_failure", "clearing"), _OWNED, "a trigger fails while a user clears its task"),
    Pair(("trigger_failure", "marking"), _OWNED, "a trigger fails while a user marks its task failed"),
    Pair(("trigger_end_event", "timeout_sweep"), _DEFERRED, "a trigger ends its task as it times out"),
    Pair(("trigger_end_event", "clearing"), _DEFERRED, "a trigger ends its task while a user clears it"),
    Pair(("trigger_end_event", "marking"), _DEFERRED, "a trigger ends its task while a user marks it failed"),
    Pair(("timeout_sweep", "trigger_cleanup"), (*_DEFERRED, "unused_trigger"), "a time-out during a clean-up"),
    Pair(("deferral", "trigger_cleanup"), _RUNNING, "a task defers during a clean-up of triggers"),
    Pair(("deferral", "unreferenced_trigger_cleanup"), _RUNNING, "the same, of a scheduler's"),
    Pair(("trigger_cleanup", "trigger_cleanup"), ("running_run", "unused_trigger"), "two clean-ups"),
    Pair(
        ("callback_enqueue", "callback_enqueue"), ("running_run", "executor_callback"), "two schedulers, one callback"
    ),
    Pair(("orphan_adoption", "orphan_adoption"), ("queued_run", "dead_scheduler"), "two schedulers, one dead one"),
    Pair(("orphan_adoption", "state_update"), ("running_run", "dead_scheduler"), "a task ends while it is adopted"),
    Pair(("run_scheduling", "run_scheduling"), ("fresh_run",), "two schedulers, one run"),
    Pair(("run_scheduling", "clearing"), ("finished_run",), "a run ends while a user clears its task"),
    Pair(("run_scheduling", "marking"), ("fresh_run",), "a run is examined while a user marks its task"),
    Pair(
        ("run_scheduling", "marking"),
        _HALF_FAILED,
        "a run is examined while a user marks a task, and so clears the one behind it",
        variant="behind",
    ),
    Pair(("clearing", "marking"), _HALF_FAILED, "one clears a task, one marks it, a failed one is behind", "behind"),
    Pair(("marking", "marking"), _HALF_FAILED, "two people mark one task that a failed one is behind", "behind"),
    Pair(("run_scheduling", "run_marking"), ("fresh_run",), "a run is examined while a user marks it failed"),
    Pair(("state_update", "run_marking"), _RUNNING, "a task ends while a user marks its run failed"),
    Pair(("enter_running", "run_marking"), ("queued_run",), "a task starts while a user marks its run failed"),
    Pair(("trigger_event", "run_marking"), _DEFERRED, "a trigger fires while a user marks the run failed"),
    Pair(("clearing", "run_marking"), _RUNNING, "one clears a task, one marks its run failed"),
    Pair(("run_marking", "run_marking"), _RUNNING, "two people mark one run failed"),
    Pair(("clearing", "clearing"), _RUNNING, "two people clear one task"),
    Pair(("clearing", "marking"), _RUNNING, "one clears, one marks a task"),
    Pair(("marking", "marking"), _RUNNING, "two people mark one task"),
    Pair(("executor_events", "state_update"), ("running_run", "two_schedulers"), "a worker's exit is heard as it ends"),
    Pair(("start_queued_runs", "start_queued_runs"), ("two_queued_runs",), "two schedulers start runs, one may run"),
    Pair(("stuck_queued_sweep", "enter_running"), ("stuck_run",), "a task that was queued for too long starts"),
    Pair(("stuck_queued_sweep", "marking"), ("stuck_run",), "the same, while a user marks it failed"),
    Pair(("stuck_queued_sweep", "clearing"), ("stuck_run",), "the same, while a user clears it"),
    Pair(("state_update", "heartbeat_timeout"), ("silent_run",), "a task without heartbeats ends well"),
    Pair(("heartbeat_timeout", "heartbeat"), ("silent_run",), "a task without heartbeats has one again"),
    Pair(("heartbeat_timeout", "deferral"), ("silent_run",), "a task without heartbeats defers"),
    Pair(("heartbeat_timeout", "clearing"), ("silent_run",), "a user clears a task without heartbeats"),
    Pair(("heartbeat_timeout", "marking"), ("silent_run",), "a user marks a task without heartbeats"),
    Pair(("state_update", "executor_failure"), ("silent_run",), "a task ends well as its executor reports a failure"),
    Pair(("backfill_creation", "backfill_completion"), ("scheduled_dag",), "a backfill is completed as it is created"),
    Pair(("backfill_creation", "backfill_creation"), ("scheduled_dag",), "two users create a DAG's backfill"),
    Pair(
        ("deferral_exit", "resumption"), _DEFERRED, "a deferred task is resumed before its worker's exit is processed"
    ),
)

_RESTARTING = ("restarting_run", "two_schedulers")
_SILENT = (*_RESTARTING, "silent_worker")
_RETRYING = ("retrying_run", "two_schedulers")

_ATTEMPT_PAIRS = tuple(
    replace(pair, since=(3, 4))
    for pair in (
        Pair(("restart_end", "restart_end"), _RESTARTING, "a worker reports twice that it has stopped a cleared task"),
        Pair(("restart_end", "executor_events"), _RESTARTING, "a worker stops a cleared task, and its exit is heard"),
        Pair(("restart_end", "heartbeat_purge"), _SILENT, "a worker stops a cleared task as its heartbeats are missed"),
        Pair(("restart_end", "heartbeat"), _RESTARTING, "a worker stops a cleared task while it sends a heartbeat"),
        Pair(("restart_end", "clearing"), _RESTARTING, "a worker stops a cleared task while a user clears it again"),
        Pair(("restart_end", "run_clearing"), _RESTARTING, "a worker stops a cleared task while a user clears the run"),
        Pair(("restart_end", "marking"), _RESTARTING, "a worker stops a cleared task while a user marks it failed"),
        Pair(("restart_end", "run_marking"), _RESTARTING, "a worker stops a cleared task while a user marks the run"),
        Pair(("restart_end", "run_scheduling"), _RESTARTING, "a worker stops a cleared task while its run is examined"),
        Pair(("restart_end", "dag_version_refresh"), (*_RESTARTING, "new_version"), "the same, of a DAG that is new"),
        Pair(
            ("restart_end", "orphan_adoption"),
            ("restarting_run", "dead_scheduler"),
            "a cleared task stops, and is adopted",
        ),
        Pair(
            ("executor_events", "heartbeat_purge"), _SILENT, "a cleared task's exit is heard as heartbeats are missed"
        ),
        Pair(("executor_events", "heartbeat"), _RESTARTING, "a cleared task's exit is heard during a heartbeat"),
        Pair(
            ("executor_events", "clearing"), _RESTARTING, "a cleared task's exit is heard while a user clears it again"
        ),
        Pair(
            ("executor_events", "marking"), _RESTARTING, "a cleared task's exit is heard while a user marks it failed"
        ),
        Pair(
            ("executor_events", "run_clearing"), _RESTARTING, "a cleared task's exit is heard while its run is cleared"
        ),
        Pair(("heartbeat_purge", "heartbeat_purge"), _SILENT, "two schedulers miss a cleared task's heartbeats"),
        Pair(("heartbeat_purge", "clearing"), _SILENT, "heartbeats are missed while a user clears the task again"),
        Pair(("heartbeat_purge", "marking"), _SILENT, "heartbeats are missed while a user marks the task failed"),
        Pair(
            ("state_update", "heartbeat_purge"),
            (*_RETRYING, "silent_worker"),
            "a task ends as its heartbeats are missed",
        ),
        Pair(
            ("heartbeat_purge", "heartbeat"), (*_RETRYING, "silent_worker"), "a late heartbeat as heartbeats are missed"
        ),
        Pair(("retry", "heartbeat_purge"), (*_RETRYING, "silent_worker"), "a task fails as its heartbeats are missed"),
        Pair(("retry", "heartbeat"), _RETRYING, "a task fails while its worker sends a heartbeat"),
        Pair(("retry", "clearing"), _RETRYING, "a task fails and may be tried again while a user clears it"),
        Pair(("retry", "marking"), _RETRYING, "a task fails and may be tried again while a user marks it"),
        Pair(("retry", "run_clearing"), _RETRYING, "a task fails and may be tried again while a user clears its run"),
        Pair(("retry", "run_marking"), _RETRYING, "a task fails and may be tried again while a user marks its run"),
        Pair(("retry", "run_scheduling"), _RETRYING, "a task fails and may be tried again while its run is examined"),
        Pair(("retry", "executor_events"), _RETRYING, "a task fails and may be tried again while its exit is heard"),
        Pair(("retry", "dag_version_refresh"), (*_RETRYING, "new_version"), "a task fails, its DAG is new"),
        Pair(("retry", "orphan_adoption"), ("retrying_run", "dead_scheduler"), "a task fails while it is adopted"),
        Pair(("run_clearing", "run_clearing"), _RUNNING, "two people clear one run"),
        Pair(("run_clearing", "clearing"), _RUNNING, "one clears a run, one a task of it"),
        Pair(("run_clearing", "marking"), _RUNNING, "one clears a run, one marks a task of it"),
        Pair(("run_clearing", "run_marking"), _RUNNING, "one clears a run, one marks it failed"),
        Pair(("runs_clearing", "runs_clearing"), ("two_runs",), "two people clear two runs, each in another order"),
        Pair(("runs_clearing", "run_scheduling"), ("two_runs",), "a user clears two runs while they are examined"),
        Pair(("state_update", "run_clearing"), _RUNNING, "a task ends while a user clears its run"),
        Pair(("deferral", "run_clearing"), _RUNNING, "a task defers while a user clears its run"),
        Pair(("heartbeat", "run_clearing"), _RUNNING, "a task's heartbeat while a user clears its run"),
        Pair(
            ("failure", "run_clearing"), ("fail_fast_run",), "a task of a fail_fast DAG fails while its run is cleared"
        ),
        Pair(("enter_running", "run_clearing"), ("queued_run",), "a task starts while a user clears its run"),
        Pair(("trigger_event", "run_clearing"), _DEFERRED, "a trigger fires while a user clears the run"),
        Pair(("run_scheduling", "run_clearing"), ("finished_run",), "a run ends while a user clears it"),
        Pair(
            ("dag_version_refresh", "run_clearing"), ("running_run", "new_version"), "a run is cleared, its DAG is new"
        ),
        Pair(("callback_start", "callback_start"), ("running_run", "queued_callback"), "two workers with one callback"),
        Pair(
            ("callback_round", "callback_round"),
            ("running_run", "executor_callback"),
            "two schedulers and their workers, one callback",
        ),
    )
)

_ASSETS = ("two_runs", "asset_consumers")
_SWEEPS = ("trigger_cleanup", "timeout_sweep")
_SEVERAL = {
    "run_marking": "a user marks a run",
    "clearing_all": "a user clears a run's tasks",
    "run_clearing": "a user clears a run",
    "marking_all": "a user marks a run's tasks",
    "failure": "a task of a fail_fast DAG fails",
}
"""Operations that lock several task instances of a run, and say what in a pair's note."""


def _several(operation: str, sweep: str, *, moved: bool) -> Pair:
    """An operation against one of the sweeps, which lock several task instances and no run."""
    tasks = "failed_tasks" if sweep == "trigger_cleanup" else "deferred_tasks"
    during = "a clean-up of triggers" if sweep == "trigger_cleanup" else "a time-out of triggers"
    state = (f"fail_fast_{tasks}" if operation == "failure" else tasks, *(("moved_rows",) if moved else ()))
    order = "whose rows were updated in another order" if moved else "in the order of their ids"
    note = f"{_SEVERAL[operation]} during {during}; three rows, {order}"
    since = (3, 4) if operation == "run_clearing" else (3, 1)
    return Pair((operation, sweep), state, note, variant="moved" if moved else "", row_steps=True, since=since)


_ROW_PAIRS = (
    *(_several(one, sweep, moved=moved) for one in _SEVERAL for sweep in _SWEEPS for moved in (False, True)),
    Pair(("one_asset_update", "one_asset_update"), _ASSETS, "two tasks with one outlet, two DAGs", row_steps=True),
)

_TUPLES = (
    Pair(
        ("trigger_event", "timeout_sweep", "time_passes"),
        (*_DEFERRED, "later_timeout"),
        "a trigger fires, and its task times out at some time",
    ),
)

PAIRS: dict[str, Pair] = {pair.name: pair for pair in (*_PAIRS, *_ATTEMPT_PAIRS, *_ROW_PAIRS, *_TUPLES)}
