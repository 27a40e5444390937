"""The reproducers of the races that this project found, and all reproducers. Data only; the harness reads it, too."""

from __future__ import annotations

from airflow_stress_explore.airflow import reported
from airflow_stress_explore.airflow.reproducer import Reproducer
from airflow_stress_explore.core.schedulers import Move

# One report has written its first asset's row and is about to ask for its second; the other waits for that row.
_OUTLETS_IN_TWO_ORDERS = (
    Move("A", r"INSERT INTO asset_dag_run_queue"),
    Move("A", r"SELECT asset\.id"),
    Move("B", "blocked"),
    Move("A"),
    Move("B"),
)


_REPLACES_THE_ATTEMPT = r"^DELETE FROM task_reschedule |task_instance\.id = .*working_set IS true\s+FOR UPDATE"
"""What clearing is about to do once it has read the task's state: give the row a new id, or from 3.4 on archive it."""


def _event_beside(operation: str, name: str, summary: str, invariant: str, also: tuple[str, ...] = ()) -> Reproducer:
    """Another operation on the task runs completely between a trigger event's read and its write."""
    return Reproducer(
        race="stale_trigger_event",
        name=f"stale_trigger_event_{name}",
        summary=summary,
        operations=("trigger_event", operation),
        state=("deferred_run", "two_schedulers"),
        script=(Move("A", r"UPDATE task_instance SET"), Move("B"), Move("A")),
        invariant=invariant,
        also=also,
        releases=("3.1.8", "3.2.1", "3.3.2", "3.4.0b2"),
        fix="trigger_event_claim",
    )


_REPRODUCERS = (
    Reproducer(
        race="deadlock",
        name="deadlock",
        summary="a state update against a DAG version refresh (#66734)",
        operations=("state_update", "dag_version_refresh"),
        state=("running_run", "new_version"),
        script=(
            Move("A", r"pool_slots.*FROM task_instance JOIN dag_run"),
            Move("B", "blocked"),
            Move("A"),
            Move("B"),
        ),
        invariant="deadlock",
        releases=("3.2.1",),
        fix="state_update_lock_scope",
    ),
    Reproducer(
        race="duplicate_callback",
        name="duplicate_callback_schedulers",
        summary="two schedulers handle one missed deadline (#64710)",
        operations=("deadline_check", "deadline_check"),
        state=("running_run", "expired_deadline"),
        script=(Move("A", r"INSERT INTO trigger "), Move("B"), Move("A")),
        invariant="duplicate",
        releases=("3.1.8", "3.2.1"),
        fix="deadline_claim",
    ),
    Reproducer(
        race="duplicate_callback",
        name="duplicate_callback_triggerers",
        summary="two triggerers run one callback's trigger (#64710, #72848)",
        operations=("trigger_assignment", "trigger_assignment"),
        state=("running_run", "callback_trigger", "two_triggerers"),
        script=(Move("A"), Move("B")),
        invariant="duplicate",
        releases=("3.1.8", "3.2.1", "3.3.2"),
        fix="callback_trigger_owner",
    ),
    Reproducer(
        race="duplicate_callback",
        name="duplicate_callback_executors",
        summary="two schedulers give one waiting synchronous callback to their executors",
        operations=("callback_enqueue", "callback_enqueue"),
        state=("running_run", "executor_callback"),
        script=(Move("A", r"FROM dag_run WHERE dag_run\.id ="), Move("B"), Move("A")),
        invariant="duplicate",
        releases=("3.3.2", "3.4.0b2"),
        fix="callback_claim",
    ),
    Reproducer(
        race="lost_clear",
        name="lost_clear_ended_run",
        summary="a user clears a task while its run ends: it never runs, and its run is stored as a success",
        operations=("run_scheduling", "clearing"),
        state=("finished_run",),
        script=(Move("A", r"^UPDATE dag_run "), Move("B", "blocked"), Move("A"), Move("B")),
        invariant="lost_update",
        releases=("3.1.8", "3.2.1", "3.3.2"),
        fix="clearing_row_locks",
    ),
    Reproducer(
        race="lost_clear",
        name="lost_clear_started_task",
        summary="a user clears a queued task while a worker starts it: it is scheduled again while that one runs",
        operations=("enter_running", "clearing"),
        state=("queued_run",),
        script=(Move("B", _REPLACES_THE_ATTEMPT), Move("A"), Move("B")),
        invariant="lost_update",
        releases=("3.1.8", "3.2.1", "3.3.2", "3.4.0b2"),
        fix="clearing_row_locks",
    ),
    Reproducer(
        race="lost_mark",
        name="lost_mark_overwrite",
        summary="a user marks a task failed while its run is examined: the scheduler's stale decision overwrites it",
        operations=("run_scheduling", "marking"),
        state=("fresh_run",),
        script=(Move("A", r"^UPDATE task_instance "), Move("B"), Move("A"), Move("B")),
        invariant="illegal_transition",
        releases=("3.1.8",),
        fix="marking_run_lock",
    ),
    Reproducer(
        race="lost_mark",
        name="lost_mark_deadlock",
        summary="a user marks a task that a failed one is behind while its run is scheduled: a deadlock",
        operations=("run_scheduling", "marking"),
        state=("half_failed_run",),
        script=(
            Move("A", r"UPDATE task_instance SET (?!updated_at)"),
            Move("B", r"UPDATE dag_run"),
            Move("A", "blocked"),
            Move("B"),
            Move("A"),
        ),
        invariant="deadlock",
        releases=("3.2.1", "3.3.2"),
        fix="marking_run_lock",
    ),
    Reproducer(
        race="lost_mark",
        name="lost_mark_run_deadlock",
        summary="a user marks a run while it is scheduled: one has the run, the other its task instances",
        operations=("run_scheduling", "run_marking"),
        state=("fresh_run",),
        script=(
            Move("A", r"^(?!.*FOR (NO KEY )?UPDATE OF dag_run)"),
            Move("B", "blocked"),
            Move("A"),
            Move("B"),
        ),
        invariant="deadlock",
        releases=("3.3.2", "3.4.0b2"),
        fix="run_marking_row_locks",
    ),
    Reproducer(
        race="lost_mark",
        name="lost_mark_run_success",
        summary="a worker reports success while a user marks the run failed: failed is stored over it, unseen",
        operations=("state_update", "run_marking"),
        state=("running_run",),
        script=(Move("B", r"FROM task_instance .*FOR UPDATE"), Move("A"), Move("B")),
        invariant="lost_update",
        releases=("3.1.8", "3.2.1", "3.3.2", "3.4.0b2"),
        fix="run_marking_row_locks",
    ),
    Reproducer(
        race="false_failed",
        name="false_failed",
        summary="a deadlock between two reports of success; one is stored as failed and answered 204",
        operations=("asset_update", "asset_update"),
        state=("running_run", "asset_consumers"),
        script=_OUTLETS_IN_TWO_ORDERS,
        invariant="false_success",
        releases=("3.3.2",),
        fix="transient_error_answer",
        set_off_by="40P01",
    ),
    _event_beside(
        "marking",
        "marking",
        "a trigger fires while a user marks its task failed; the task is scheduled again",
        "illegal_transition",
    ),
    _event_beside(
        "timeout_sweep",
        "timeout",
        "a trigger fires as its task times out; the row has the failure's method and the event's arguments",
        "lost_update",
    ),
    _event_beside(
        "clearing",
        "clearing",
        "a trigger fires while a user clears its task: a StaleDataError; in 3.4 the archived attempt is scheduled",
        "error",
        also=("archived_change",),
    ),
    Reproducer(
        race="asset_deadlock",
        name="asset_deadlock",
        summary="two reports of success with the same two outlets, each process in its own order",
        operations=("asset_update", "asset_update"),
        state=("two_runs", "asset_consumers"),
        script=_OUTLETS_IN_TWO_ORDERS,
        invariant="deadlock",
        releases=("3.1.8", "3.2.1", "3.3.2"),
        fix="asset_event_order",
    ),
    Reproducer(
        race="fail_fast",
        name="fail_fast_overwrite",
        summary="a failure in a fail_fast DAG stores failed over a success that it has not seen",
        operations=("failure", "state_update"),
        state=("fail_fast_run",),
        script=(Move("A", r"UPDATE task_instance"), Move("B"), Move("A")),
        invariant="false_success",
        releases=("3.1.8", "3.3.2", "3.4.0b2"),
        fix="fail_fast_lock_order",
    ),
    Reproducer(
        race="fail_fast",
        name="fail_fast_deadlock",
        summary="two failures in a fail_fast DAG end each other's task",
        operations=("failure", "failure"),
        state=("fail_fast_run",),
        script=(Move("A", r"UPDATE task_instance"), Move("B", "blocked"), Move("A"), Move("B")),
        invariant="deadlock",
        releases=("3.1.8", "3.2.1", "3.3.2", "3.4.0b2"),
        fix="fail_fast_lock_order",
    ),
    Reproducer(
        race="aborted_retry",
        name="sweep_deadlock",
        summary="a clean-up of triggers locks three rows as they lie, a request that clears them locks them by id",
        operations=("clearing_all", "trigger_cleanup"),
        state=("failed_tasks", "moved_rows"),
        script=(Move("B", r"^at row 1 of: UPDATE task_instance"), Move("A", "blocked"), Move("B"), Move("A")),
        invariant="deadlock",
        releases=("3.1.8", "3.2.1", "3.3.2"),
        fix="sweep_row_claims",
        row_steps=True,
    ),
    Reproducer(
        race="aborted_retry",
        name="sweep_deadlock_marking",
        summary="marking locks a task, then all behind it; a clean-up of triggers holds them and waits for the first",
        operations=("marking_all", "trigger_cleanup"),
        state=("failed_tasks",),
        script=(
            Move("A", r"task_instance\.task_id IN .*FOR UPDATE"),
            Move("B", "blocked"),
            Move("A"),
            Move("B"),
        ),
        invariant="deadlock",
        releases=("3.4.0b2",),
        fix="sweep_row_claims",
    ),
)

REPRODUCERS: dict[str, Reproducer] = {
    reproducer.name: reproducer for reproducer in (*_REPRODUCERS, *reported.REPRODUCERS)
}
