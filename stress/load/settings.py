"""How much load: one value, made by the plan, read by the Locust process, written into the manifest.

The numbers are for two cores: each can be met by the cluster in that it neither idles nor queues without end. What each
does to the races' rates is in FINDINGS.md.
"""

from __future__ import annotations

import msgspec


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of the load. Times are seconds."""

    seconds: float = 28.0
    """How long a block's load lasts."""
    users: list[str] = []
    """Names of the Locust users that take part."""
    churn_active_runs: int = 16
    """Runs of the changing DAGs that are kept queued or running."""
    churn_period_s: float = 2.0
    """How often their structure changes."""
    deadline_batches: int = 2
    deadline_batch_runs: int = 6
    """Runs triggered at once; each has the deadline DAG's number of alerts."""
    deadline_batch_period_s: float = 12.0
    cancel_runs: int = 6
    """Runs of the endless deferrable DAG (four triggers each) that are ended together."""
    cancel_settle_s: float = 1.5
    """How long both triggerers must have been polling before their runs are ended."""
    ui_period_s: float = 1.0
    clear_period_s: float = 3.0
