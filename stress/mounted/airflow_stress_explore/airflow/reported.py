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
)
