"""The process that plays pairs of the database: `python -m airflow_stress_explore.airflow.main`, see
`core/protocol.py`."""

from __future__ import annotations

import importlib
import os
import sys

from airflow_stress_explore.airflow.serve import explore, replay, repro
from airflow_stress_explore.core.protocol import serve


def import_airflow() -> None:
    """Import what takes its time, and what fixes wait for. Meanwhile the harness starts the server."""
    for module in (
        "airflow.jobs.scheduler_job_runner",
        "airflow.api_fastapi.execution_api.routes.task_instances",
        "airflow.models.deadline",
        "airflow.models.trigger",
    ):
        importlib.import_module(module)


if __name__ == "__main__":
    code = serve({"explore": explore, "replay": replay, "repro": repro}, import_airflow)
    sys.stderr.flush()
    os._exit(code)  # all lines are written; an orderly exit of all of Airflow would take half a second
