"""The load that makes deadlines pass in a queue, many at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import gevent
from locust import constant_pacing, task

from stress.load.users import SETTINGS, START, ApiUser, act, together
from stress.races.duplicate_callback.scenario import DEADLINES, SYNC_DEADLINES


class DeadlineMisser(ApiUser):
    """Triggers more runs at once than may be active, so that the others miss their deadline in the queue."""

    fixed_count = 1
    dag = DEADLINES
    batch_runs = SETTINGS.deadline_batch_runs
    wait_time = constant_pacing(SETTINGS.deadline_batch_period_s)

    def on_start(self) -> None:
        super().on_start()
        self._batches = 0
        gevent.sleep(max(0.0, SETTINGS.deadline_first_s - START.seconds()))
        # The task of the one active run must never run.
        self.call("POST", "/pools", "/pools", json={"name": "no_slots", "slots": 0})

    @task
    def trigger_batch(self) -> None:
        """Trigger one batch; do nothing when all batches are done."""
        if self._batches < SETTINGS.deadline_batches:
            self._batches += 1
            # No two runs of a DAG may share a logical date; the scheduler ignores a microsecond between them.
            moment = datetime.now(UTC)
            dates = [(moment + timedelta(microseconds=run),) for run in range(self.batch_runs)]
            runs = together(lambda date: self.trigger(self.dag, "deadline", date), dates)
            started = sum(run is not None for run in runs)
            act("deadline_runs_started", started)


class SyncDeadlineMisser(DeadlineMisser):
    """The same with synchronous callbacks, more at once than executors have places."""

    dag = SYNC_DEADLINES
    batch_runs = SETTINGS.sync_deadline_batch_runs
