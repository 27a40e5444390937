"""A component loses the database, as by a failed switch: nothing is refused, packets vanish."""

from __future__ import annotations

from stress.cluster.base import Cluster
from stress.faults.base import Fault, PlannedFault
from stress.faults.recovery import HEALTH_THRESHOLD_S


class CutOff(Fault):
    """Everything between a component and the database is dropped; its sessions there stay open, with their locks.

    A deadline's callback may be late, never lost and never twice; a task may be late or tried again by Airflow's own
    rules, never stuck.
    """

    name = "cutoff"
    summary = "drop everything between a component and the database"
    runtimes = ("compose",)
    shortest_s = 0.5
    longest_s = 1.5 * HEALTH_THRESHOLD_S

    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:
        cluster.cut_off(planned.target)

    def heal(self, cluster: Cluster, planned: PlannedFault) -> None:
        cluster.restore_network(planned.target)
