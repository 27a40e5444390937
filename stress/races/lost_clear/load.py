"""The load that clears tasks of runs that end."""

from __future__ import annotations

import gevent
from locust import constant, task

from stress.load.users import SETTINGS, ApiUser, act, together, until
from stress.races.lost_clear.scenario import CLEARED, ENDS_AT_S, PERIOD_S

WITHIN_S = 1.2
"""A run ends at most so long after its last task: a scheduler looks at each about once a second."""
_LEAD_S = 0.2


class EndClearer(ApiUser):
    """Starts runs that end together, and clears the first task of each within `WITHIN_S` of that moment."""

    fixed_count = 1
    wait_time = constant(0.0)

    @task
    def cycle(self) -> None:
        """One period of the clock."""
        until(0.0, PERIOD_S)
        runs = together(lambda: self.trigger(CLEARED, "cleared"), [()] * SETTINGS.cleared_runs)
        act("cleared_runs_started", sum(run is not None for run in runs))
        until(ENDS_AT_S - _LEAD_S, PERIOD_S)
        ending = self.call(
            "GET",
            f"/dags/{CLEARED}/dagRuns/~/taskInstances",
            "/dags/{dag}/dagRuns/~/taskInstances (running)",
            params={"state": "running", "limit": 100},
        )
        found = [each["dag_run_id"] for each in (ending or {}).get("task_instances", ()) if each["task_id"] == "last"]
        until(ENDS_AT_S, PERIOD_S)
        together(self._clear, [(run, self.random.uniform(0.0, WITHIN_S)) for run in found])

    def _clear(self, run: str, after_s: float) -> None:
        gevent.sleep(after_s)
        self.change(
            "clear_task",
            "POST",
            f"/dags/{CLEARED}/clearTaskInstances",
            "/dags/{dag}/clearTaskInstances",
            CLEARED,
            run,
            task="first",
            json={"dry_run": False, "dag_run_id": run, "task_ids": ["first"], "only_failed": False},
        )
