"""The reproducers of races that upstream reports without a reproduction, and of one beside them. Data only."""

from __future__ import annotations

from airflow_stress_explore.airflow.reproducer import Reproducer
from airflow_stress_explore.core.schedulers import Move

_ALL = ("3.1.8", "3.2.1", "3.3.2", "3.4.0b2")

REPRODUCERS: tuple[Reproducer, ...] = (
    Reproducer(
        race="exceeded_run_limit",
        name="exceeded_run_limit",
        summary="two schedulers each start a run of a DAG of which one run may run (#45388, #56646)",
        operations=("start_queued_runs", "start_queued_runs"),
        state=("two_queued_runs",),
        script=(Move("A", r"^UPDATE dag_run "), Move("B"), Move("A")),
        invariant="cap_exceeded",
        releases=_ALL,
        fix="run_start_turn",
    ),
    Reproducer(
        race="stuck_sweep",
        name="stuck_sweep",
        summary="a task that was queued for too long starts as it is swept: it is scheduled while it runs (#49889)",
        operations=("stuck_queued_sweep", "enter_running"),
        state=("stuck_run",),
        script=(Move("A", r"^UPDATE task_instance "), Move("B"), Move("A")),
        invariant="illegal_transition",
        releases=_ALL,
        fix="stuck_task_claim",
    ),
    Reproducer(
        race="heartbeat_alarm",
        name="heartbeat_alarm_success",
        summary="a task without heartbeats reports success as it is purged: its failure callback runs (#68008)",
        operations=("state_update", "heartbeat_timeout"),
        state=("silent_run",),
        script=(Move("B", r"^INSERT INTO callback"), Move("A"), Move("B")),
        invariant="false_alarm",
        releases=("3.1.8", "3.2.1", "3.3.2"),
        fix="silent_task_claim",
    ),
    Reproducer(
        race="heartbeat_alarm",
        name="heartbeat_alarm_twice",
        summary="a task without heartbeats is purged: its failure callback runs twice (#42553)",
        operations=("state_update", "heartbeat_timeout"),
        state=("silent_run",),
        script=(Move("B"), Move("A")),
        invariant="alarm_twice",
        releases=("3.1.8", "3.2.1", "3.3.2"),
        fix="silent_task_claim",
    ),
    Reproducer(
        race="heartbeat_alarm",
        name="heartbeat_alarm_overwrite",
        summary="a task without heartbeats reports success as it is purged: failed is stored over it (#68008)",
        operations=("state_update", "heartbeat_timeout"),
        state=("silent_run",),
        script=(Move("B", r"^INSERT INTO callback"), Move("B", r"^(?!INSERT|COMMIT)"), Move("A"), Move("B")),
        invariant="false_success",
        releases=("3.4.0b2",),
        fix="silent_task_claim",
    ),
    Reproducer(
        race="early_completion",
        name="early_completion",
        summary="a scheduler completes a backfill whose runs are still being created (#68721, #64534)",
        operations=("backfill_creation", "backfill_completion"),
        state=("scheduled_dag",),
        script=(Move("A", r"^INSERT INTO dag_run "), Move("B"), Move("A")),
        invariant="early_completion",
        releases=_ALL,
        fix="backfill_in_one_commit",
    ),
    Reproducer(
        race="stale_success",
        name="stale_success",
        summary="a deferral's exit is processed after the task has started again, and fails it (#72716, #71580)",
        operations=("deferral_exit", "resumption"),
        state=("deferred_run", "two_schedulers"),
        script=(Move("B"), Move("A")),
        invariant="illegal_transition",
        releases=_ALL,
        fix="deferral_exit_filter",
    ),
    Reproducer(
        race="event_overwrite",
        name="event_overwrite",
        summary="a worker reports success as its executor's report of a failure is processed: failed is stored over it",
        operations=("state_update", "executor_failure"),
        state=("silent_run",),
        script=(Move("B", r"^INSERT INTO callback"), Move("B", r"^(?!INSERT|COMMIT)"), Move("A"), Move("B")),
        invariant="false_success",
        releases=_ALL,
        fix="event_callbacks_last",
    ),
)
