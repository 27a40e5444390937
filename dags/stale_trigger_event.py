"""DAGs whose triggers fire together: of one the tasks are marked then, of the other they time out then."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import DAG

from airflow_stress_dags.operators import DeferredUntilOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
PERIOD_S = 4.0
FIRES_AT_S = 3.0
TRIGGER_LEAD_S = 1.5
"""What a triggerer needs at most to find a new trigger."""
TIMES_OUT_WITHIN_S = 1.0
"""The schedulers sweep every second (`scheduler.trigger_timeout_check_interval`)."""

with DAG("event_marked", schedule=None, start_date=START, max_active_runs=64, tags=["stress"]):
    for number in range(5):
        DeferredUntilOperator(task_id=f"task_{number}", second=FIRES_AT_S, period_s=PERIOD_S, lead_s=TRIGGER_LEAD_S)

with DAG("event_timed_out", schedule=None, start_date=START, max_active_runs=64, tags=["stress"]):
    for number in range(6):
        DeferredUntilOperator(
            task_id=f"task_{number}",
            second=FIRES_AT_S - 2.0,
            period_s=PERIOD_S,
            lead_s=TRIGGER_LEAD_S,
            times_out_within_s=TIMES_OUT_WITHIN_S,
        )
