"""Tasks are cleared while their run ends."""

from __future__ import annotations

from stress.races.scenario import Scenario

CLEARED = "cleared"
PERIOD_S = 4.0
ENDS_AT_S = 3.0
"""When runs of the DAG end, in seconds of the clock's period; the DAG's file has the same numbers."""

SCENARIO = Scenario(
    name="clear_at_end",
    summary="a task is cleared within 1.2 s of the end of its run's last task",
    dags=(CLEARED,),
    dag_files=("lost_clear",),
    users=("EndClearer", "UiReader"),
    observers=("load", "database", "execution_api"),
    api_workers=3,
    hollow_workers=48,
    on_request=True,
)
