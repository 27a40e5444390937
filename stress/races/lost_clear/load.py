"""The load that clears tasks of runs that end."""

from __future__ import annotations

from locust import constant, task

from stress.load.users import SETTINGS, ApiUser, act, next_period, together, until
from stress.races.lost_clear.scenario import CLEARED, ENDS_AT_S, PERIOD_S

WITHIN_S = 1.2
"""A run ends at most so long after its last task: a scheduler looks at each about once a second."""


class EndClearer(ApiUser):
    """Starts runs that end together, and clears the first task of each within `WITHIN_S` of that moment."""

    fixed_count = 1
    wait_time = constant(0.0)

    @task
    def cycle(self) -> None:
        """One period of the clock."""
        ends_at = next_period(PERIOD_S) + ENDS_AT_S
        runs = [run for run in together(self._start, [()] * SETTINGS.cleared_runs) if run is not None]
        act("cleared_runs_started", len(runs))
        until(ends_at)
        together(self._clear, [(run, ends_at + self.random.uniform(0.0, WITHIN_S)) for run in runs])

    def _start(self) -> str | None:
        return self.trigger(CLEARED, "cleared")

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
