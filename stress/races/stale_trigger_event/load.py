"""The load that marks tasks as their triggers fire."""

from __future__ import annotations

import gevent
from locust import constant, task

from stress.load.users import SETTINGS, ApiUser, act, together, until
from stress.races.stale_trigger_event.scenario import FIRES_AT_S, MARKED, PERIOD_S, TIMED_OUT

WITHIN_S = 1.2
"""A triggerer stores the events of its triggers about once a second."""
_LEAD_S = 0.2


class EventMarker(ApiUser):
    """Starts runs whose triggers fire together, and marks the tasks of one DAG failed within `WITHIN_S` of that."""

    fixed_count = 1
    wait_time = constant(0.0)

    @task
    def cycle(self) -> None:
        """One period of the clock."""
        until(0.0, PERIOD_S)
        dags = [(MARKED,)] * SETTINGS.event_runs + [(TIMED_OUT,)] * SETTINGS.event_runs
        runs = together(lambda dag: self.trigger(dag, "event"), dags)
        act("event_runs_started", sum(run is not None for run in runs))
        until(FIRES_AT_S - _LEAD_S, PERIOD_S)
        waiting = self.call(
            "GET",
            f"/dags/{MARKED}/dagRuns/~/taskInstances",
            "/dags/{dag}/dagRuns/~/taskInstances (deferred)",
            params={"state": "deferred", "limit": 100},
        )
        found = [(each["dag_run_id"], each["task_id"]) for each in (waiting or {}).get("task_instances", ())]
        until(FIRES_AT_S, PERIOD_S)
        together(self._mark, [(*each, self.random.uniform(0.0, WITHIN_S)) for each in found])

    def _mark(self, run: str, task_id: str, after_s: float) -> None:
        gevent.sleep(after_s)
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
