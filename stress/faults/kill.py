"""A component dies at once, as by the out-of-memory killer or a lost machine."""

from __future__ import annotations

import signal

from stress.cluster.base import Cluster
from stress.faults.base import Fault, PlannedFault


class Kill(Fault):
    """SIGKILL to all of a component's processes; the runtime starts it again.

    Its memory is lost, and its open transactions are rolled back. A deadline's callback may be late,
    never lost and never twice; a task may be late or tried again by Airflow's own rules, never stuck.
    """

    name = "kill"
    summary = "SIGKILL to a component with all its processes; it is started again"
    runtimes = ("local", "compose")

    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:
        cluster.kill(planned.target, signal.SIGKILL)
