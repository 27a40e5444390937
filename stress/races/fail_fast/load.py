"""The load that makes the two tasks of fail_fast runs end together."""

from __future__ import annotations

from locust import constant_pacing, task

from stress.load.users import SETTINGS, ApiUser, act, together
from stress.races.fail_fast.scenario import FAIL_FAST


class FailFastStarter(ApiUser):
    """Starts runs of each fail_fast DAG; the tasks of a run end at the same second of the clock's period."""

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.fail_fast_period_s)

    @task
    def start_runs(self) -> None:
        """As many runs of each as are to end together."""
        runs = together(
            lambda dag: self.trigger(dag, "fail-fast"), [(dag,) for dag in FAIL_FAST] * SETTINGS.fail_fast_runs
        )
        act("fail_fast_runs_started", sum(run is not None for run in runs))
