"""The load that makes tasks with the same outlets succeed together."""

from __future__ import annotations

from locust import constant_pacing, task

from stress.load.users import SETTINGS, ApiUser, act, together
from stress.races.asset_deadlock.scenario import PRODUCERS


class OutletProducer(ApiUser):
    """Starts runs of each producing DAG; their tasks end at the same second of the clock's period."""

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.outlets_period_s)

    @task
    def start_runs(self) -> None:
        """As many runs of each as are to end together."""
        runs = together(lambda dag: self.trigger(dag, "outlets"), [(dag,) for dag in PRODUCERS] * SETTINGS.outlets_runs)
        act("outlet_runs_started", sum(run is not None for run in runs))
