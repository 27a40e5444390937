"""The load that clears tasks of runs that end."""

from __future__ import annotations

import time

from locust import constant, task

from stress.load.users import SETTINGS, ApiUser, act, next_period, together, until
from stress.races.lost_clear.scenario import CLEARED, ENDS_AT_S, PERIOD_S

WITHIN_S = 1.2
"""A run ends at most so long after its last task: a scheduler looks at each about once a second."""
_LEAD_S = 1.0
"""How long before their end runs are listed: the list takes time."""


class EndClearer(ApiUser):
    """Starts runs that end together, and clears the first task of each within `WITHIN_S` of that moment."""

    fixed_count = 1
    wait_time = constant(0.0)

    @task
    def cycle(self) -> None:
        """One period of the clock."""
        ends_at = next_period(PERIOD_S) + ENDS_AT_S
        runs = together(lambda: self.trigger(CLEARED, "cleared"), [()] * SETTINGS.cleared_runs)
        act("cleared_runs_started", sum(run is not None for run in runs))
        until(ends_at - _LEAD_S)
        ending = [run for run, task_id in self.task_instances(CLEARED, "running") if task_id == "last"]
        # Later than that the runs have ended.
        if time.time() < ends_at + WITHIN_S:
            together(self._clear, [(run, ends_at + self.random.uniform(0.0, WITHIN_S)) for run in ending])

    def _clear(self, run: str, moment: float) -> None:
        until(moment)
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
