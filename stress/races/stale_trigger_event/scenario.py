"""Tasks are marked, and time out, as their triggers fire."""

from __future__ import annotations

from stress.races.scenario import Scenario

MARKED = "event_marked"
TIMED_OUT = "event_timed_out"
PERIOD_S = 4.0
FIRES_AT_S = 3.0
"""When triggers of the marked tasks fire, in seconds of the clock's period; the DAG's file has the same numbers."""

SCENARIO = Scenario(
    name="late_events",
    summary="deferred tasks are marked failed, and time out, as their triggers fire",
    dags=(MARKED, TIMED_OUT),
    dag_files=("stale_trigger_event",),
    users=("EventMarker", "UiReader"),
    observers=("load", "database", "execution_api"),
    # 15 s by default: so often that a trigger can fire at the moment of a sweep many times in a block.
    config={"scheduler.trigger_timeout_check_interval": "1"},
    api_workers=3,
    hollow_workers=48,
    on_request=True,
)
