"""The load that provokes deadlocks: users who deploy DAGs, start runs and clear tasks."""

from __future__ import annotations

import itertools

from locust import User, constant_pacing, task

from stress.load.users import CHURN_DAGS, SETTINGS, SHARED, START, ApiUser, act, together


class DagEditor(User):
    """Deploys continuously: moves the changing DAGs to their next structure."""

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.churn_period_s)
    _generations = itertools.count(1)

    def on_start(self) -> None:
        """Deploy nothing before the load begins."""
        START.wait()

    @task
    def deploy(self) -> None:
        """Write the next generation at once: a reader sees the old number or the new one."""
        generation = next(self._generations)
        scratch = SHARED / "churn_generation.new"
        scratch.write_text(str(generation))
        scratch.replace(SHARED / "churn_generation")
        act("dag_changed")


class RunStarter(ApiUser):
    """Starts runs of the changing DAGs at a steady pace, independent of the cluster's progress.

    An open loop: if runs were started as others end, an arm without deadlocks would get more tasks, and the arms'
    counts would be of different loads.
    """

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.churn_run_period_s)

    def on_start(self) -> None:
        super().on_start()
        self._dags = itertools.cycle(range(CHURN_DAGS))
        self._start(SETTINGS.churn_first_runs)

    @task
    def start_one(self) -> None:
        """The next run."""
        self._start(1)

    def _start(self, runs: int) -> None:
        started = together(
            lambda dag: self.trigger(f"churn_{dag}", "churn"), [(next(self._dags),) for _ in range(runs)]
        )
        act("churn_runs_started", sum(run is not None for run in started))


class Clearer(ApiUser):
    """Clears a finished task to run it again."""

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.clear_period_s)

    @task
    def clear(self) -> None:
        """Clear one task that succeeded in a run of a changing DAG that is still in flight."""
        dag_id = f"churn_{self.random.randrange(CHURN_DAGS)}"
        found = self.call(
            "GET",
            f"/dags/{dag_id}/dagRuns/~/taskInstances",
            "/dags/{dag}/dagRuns/~/taskInstances (succeeded)",
            params={"state": "success", "limit": 20, "order_by": "-start_date"},
        )
        if not found or not found["task_instances"]:
            return
        chosen = self.random.choice(found["task_instances"])
        body = {
            "dry_run": False, "dag_run_id": chosen["dag_run_id"], "task_ids": [chosen["task_id"]],
            # By default only failed tasks are cleared: for a success the answer is 200 with 0 cleared tasks.
            "only_failed": False,
        }  # fmt: skip
        cleared = self.change(
            "clear_task",
            "POST",
            f"/dags/{dag_id}/clearTaskInstances",
            "/dags/{dag}/clearTaskInstances",
            dag_id,
            chosen["dag_run_id"],
            task=chosen["task_id"],
            json=body,
        )
        if cleared:
            act("tasks_cleared", cleared["total_entries"])
