"""A component is restarted, as by a deployment."""

from __future__ import annotations

from stress.cluster.base import Cluster
from stress.faults.base import Fault, PlannedFault


class Restart(Fault):
    """SIGTERM, a few seconds to shut down properly, and a start right after that.

    A deadline's callback may be late, never lost and never twice; a task may be late or tried again by Airflow's own
    rules, never stuck.
    """

    name = "restart"
    summary = "ask a component to end (SIGTERM, a few seconds), and start it again at once"
    runtimes = ("local", "compose")

    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:
        cluster.restart(planned.target)
