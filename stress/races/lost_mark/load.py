"""The load that marks runs failed while their tasks end."""

from __future__ import annotations

from locust import constant, task

from stress.load.users import SETTINGS, ApiUser, act, next_period, together, until
from stress.races.lost_mark.scenario import ENDS_AT_S, MARKED, PERIOD_S

AROUND_S = 0.2
"""A mark is made at most so long before or after the moment at which the tasks of its run end."""


class RunMarker(ApiUser):
    """Starts runs whose tasks end together, and marks each run failed within `AROUND_S` of that."""

    fixed_count = 1
    wait_time = constant(0.0)

    @task
    def cycle(self) -> None:
        """One period of the clock."""
        ends_at = next_period(PERIOD_S) + ENDS_AT_S
        runs = [run for run in together(self._start, [()] * SETTINGS.marked_runs) if run is not None]
        act("marked_runs_started", len(runs))
        together(self._mark, [(run, ends_at + self.random.uniform(-AROUND_S, AROUND_S)) for run in runs])

    def _start(self) -> str | None:
        return self.trigger(MARKED, "marked")

    def _mark(self, run: str, moment: float) -> None:
        until(moment)
        self.change(
            "mark_run",
            "PATCH",
            f"/dags/{MARKED}/dagRuns/{run}",
            "/dags/{dag}/dagRuns/{run}",
            MARKED,
            run,
            state="failed",
            json={"state": "failed"},
        )
