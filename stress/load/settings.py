"""The amount of load: one value, made by the plan, read by the Locust process, written into the manifest.

The numbers are for two cores: with them the cluster neither idles nor queues without end. FINDINGS.md has their effect
on the races' rates.
"""

from __future__ import annotations

import msgspec


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of the load. Times are seconds."""

    seconds: float = 12.0
    """How long a block's load lasts."""
    warm_up_s: float = 25.0
    """How long the load waits at most for both triggerers to answer triggers."""
    api_workers: int = 1
    """Processes of the api-server. With several the load begins when each is warm, at most after `warm_up_s`."""
    users: list[str] = []
    """Names of the Locust users that take part."""
    churn_first_runs: int = 6
    """Runs of the changing DAGs that are started with the load."""
    churn_run_period_s: float = 2.5
    """Between two further starts. Each run has 32 task instances; both arms must be able to keep up."""
    churn_period_s: float = 2.0
    """How often their structure changes."""
    deadline_first_s: float = 2.5
    """When the first batch is triggered; its deadlines pass 5 s later. That is after the cancellations, because a
    triggerer whose runner died runs no callbacks until it has started again, and early enough for the callbacks to end
    within the load."""
    deadline_batches: int = 1
    deadline_batch_runs: int = 5
    """Runs triggered together; each has the deadline DAG's number of alerts."""
    deadline_batch_period_s: float = 6.0
    sync_deadline_batch_runs: int = 12
    """The same for synchronous callbacks: twelve runs have 192, and two schedulers have 128 places."""
    cancel_runs: int = 8
    """Runs of the endless deferrable DAG (five triggers each) that are ended together. They are more than one triggerer
    has the capacity for in the `trigger_cancel` scenario, so that each has some."""
    cancel_first_s: float = 1.0
    cancel_bursts: int = 1
    """How often in a block; the number is fixed, so that an arm whose triggerers survive gets no more of them."""
    cancel_period_s: float = 25.0
    """Between two bursts, at least."""
    cancel_settle_s: float = 1.0
    """How long both triggerers must have been polling before their runs are ended."""
    outlets_period_s: float = 3.0
    """How often runs that end together are started."""
    outlets_runs: int = 4
    """Runs of each producing DAG that are started together."""
    fail_fast_period_s: float = 2.0
    fail_fast_runs: int = 3
    """Runs of each fail_fast DAG that are started together."""
    cleared_runs: int = 16
    """Runs that end together, of each of which a task is cleared."""
    event_runs: int = 8
    """Runs of each DAG whose triggers fire together."""
    marked_runs: int = 6
    """Runs that are marked failed while their tasks end."""
    ui_period_s: float = 1.5
    clear_period_s: float = 3.0
