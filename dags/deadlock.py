"""DAGs whose structure keeps changing, so that new DAG versions arrive while runs are in flight.

The structure is a function of a generation number in a file that the load moves on (`<shared>/churn_generation`), so
the churn begins and ends with the load, leaves a record, and needs no writable DAG folder.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from airflow.sdk import DAG

from airflow_stress_dags.operators import BusyOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
DAGS = int(os.environ.get("AIRFLOW_STRESS_CHURN_DAGS", "4"))
WIDTH = int(os.environ.get("AIRFLOW_STRESS_CHURN_WIDTH", "4"))
DEPTH = int(os.environ.get("AIRFLOW_STRESS_CHURN_DEPTH", "8"))


def generation() -> int:
    """The number in the control file; 0 before the load began or outside the harness."""
    shared = os.environ.get("AIRFLOW_STRESS_SHARED")
    try:
        return int((Path(shared) / "churn_generation").read_text()) if shared else 0
    except (FileNotFoundError, ValueError):
        return 0


current = generation()
for number in range(DAGS):
    with DAG(
        f"churn_{number}",
        schedule=None,
        start_date=START,
        max_active_runs=16,
        tags=["stress", f"generation-{current}"],
    ):
        for lane in range(WIDTH):
            previous = None
            for step in range(DEPTH):
                # The changing task is part of the structure, so that its change makes a new version of the DAG.
                task = BusyOperator(task_id=f"lane_{lane}_step_{step}", seconds=0.2, doc=f"generation {current}")
                if previous is not None:
                    previous >> task
                previous = task
