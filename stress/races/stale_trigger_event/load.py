"""The load that marks tasks as their triggers fire."""

from __future__ import annotations

import time

from locust import constant, task

from stress.load.users import SETTINGS, ApiUser, act, next_period, together, until
from stress.races.stale_trigger_event.scenario import FIRES_AT_S, MARKED, PERIOD_S, TIMED_OUT

WITHIN_S = 1.2
"""A triggerer stores the events of its triggers about once a second."""
_LEAD_S = 1.0
"""So long before they fire all triggers are there that will (`TRIGGER_LEAD_S` of the DAG), and the list takes time."""


class EventMarker(ApiUser):
    """Starts runs whose triggers fire together, and marks the tasks of one DAG failed within `WITHIN_S` of that."""

    fixed_count = 1
    wait_time = constant(0.0)

    @task
    def cycle(self) -> None:
        """One period of the clock."""
        fires_at = next_period(PERIOD_S) + FIRES_AT_S
        dags = [(MARKED,)] * SETTINGS.event_runs + [(TIMED_OUT,)] * SETTINGS.event_runs
        runs = together(lambda dag: self.trigger(dag, "event"), dags)
        act("event_runs_started", sum(run is not None for run in runs))
        until(fires_at - _LEAD_S)
        found = self.task_instances(MARKED, "deferred")
        # Later than that no event is awaited any more.
        if time.time() < fires_at + WITHIN_S:
            together(self._mark, [(*each, fires_at + self.random.uniform(0.0, WITHIN_S)) for each in found])

    def _mark(self, run: str, task_id: str, moment: float) -> None:
        until(moment)
        self.change(
            "mark_task",
            "PATCH",
            f"/dags/{MARKED}/dagRuns/{run}/taskInstances/{task_id}",
            "/dags/{dag}/dagRuns/{run}/taskInstances/{task}",
            MARKED,
            run,
            task=task_id,
            state="failed",
            json={"new_state": "failed"},
        )
