"""A component stands still and then continues, as on a machine that was frozen or starved.

    others ----------|--- think it is dead after the health threshold ---|----->
    target ----x     ................ stands still ................      x----->  still believes that it is in charge

A short one moves a race's window; a long one makes other components take over what the target still considers its own.
"""

from __future__ import annotations

from stress.cluster.base import Cluster
from stress.faults.base import Fault, PlannedFault
from stress.faults.recovery import HEALTH_THRESHOLD_S


class Pause(Fault):
    """All of a component's processes stop, with transactions open, and continue later.

    A deadline's callback may be late, never lost and never twice, also if another triggerer took it over meanwhile; a
    task may be late or tried again by Airflow's own rules, never stuck.
    """

    name = "pause"
    summary = "freeze a component with all its processes, from milliseconds to beyond Airflow's health thresholds"
    runtimes = ("local", "compose")
    shortest_s = 0.005
    longest_s = 1.5 * HEALTH_THRESHOLD_S

    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:
        cluster.pause(planned.target)

    def heal(self, cluster: Cluster, planned: PlannedFault) -> None:
        cluster.resume(planned.target)
