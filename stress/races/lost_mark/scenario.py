"""Runs are marked failed while their tasks end."""

from __future__ import annotations

from stress.races.scenario import Scenario

MARKED = "marked_runs"
PERIOD_S = 4.0
ENDS_AT_S = 3.0
"""When the tasks of its runs end, in seconds of the clock's period; the DAG's file has the same numbers."""

SCENARIO = Scenario(
    name="run_marks",
    summary="runs are marked failed while their tasks end and the next ones are scheduled",
    dags=(MARKED,),
    dag_files=("lost_mark",),
    users=("RunMarker", "UiReader"),
    observers=("load", "postgres_log", "database", "execution_api"),
    api_workers=3,
    hollow_workers=48,
    on_request=True,
)
