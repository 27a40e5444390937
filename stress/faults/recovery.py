"""Airflow's own recovery, made quick enough to be seen within a block: for every arm alike, whenever faults are asked
for. An arm's own config still wins.

With Airflow's defaults a task of a scheduler that was killed waits up to 5.5 minutes until another scheduler takes it,
and one that lost its worker 5 minutes: a block of a minute would count late work as lost. All options exist in
3.1, 3.2 and 3.3.

The thresholds stay well above the gaps that a healthy component's heartbeats have under load on two busy cores: a
triggerer's loop stands still for seconds when it builds its in-process API on the first request. A threshold below
these gaps would make a live triggerer's callbacks run twice without any fault. (Measured gaps between the heartbeats of
living triggerers on an overloaded machine: 16 to 21 s.)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

HEALTH_THRESHOLD_S = 20
"""Seconds without a heartbeat after which other components consider a scheduler or triggerer dead."""

_HEARTBEAT_S = 2

CONFIG: Mapping[str, str] = MappingProxyType(
    {
        # Default 5. Well below the threshold, as by default (a sixth); also how soon a recovered component can be seen.
        "scheduler.scheduler_heartbeat_sec": str(_HEARTBEAT_S),
        "scheduler.job_heartbeat_sec": str(_HEARTBEAT_S),
        "triggerer.job_heartbeat_sec": str(_HEARTBEAT_S),
        # Default 30.
        "scheduler.scheduler_health_check_threshold": str(HEALTH_THRESHOLD_S),
        "triggerer.triggerer_health_check_threshold": str(HEALTH_THRESHOLD_S),
        # Default 300: how often a scheduler looks for the tasks of dead ones.
        "scheduler.orphaned_tasks_check_interval": "5",
        # Default 300. Above the longest fault with a restart after it: otherwise the worker of a paused api-server,
        # whose heartbeats fail, would be given up.
        "scheduler.task_instance_heartbeat_timeout": "45",
        "scheduler.task_instance_heartbeat_timeout_detection_interval": "5",
        # Default 600. From 3.3 on it is also how long a queued task's token is good: above the longest fault with
        # the workers' retries.
        "scheduler.task_queued_timeout": "60",
        "scheduler.task_queued_timeout_check_interval": "5",
        # Default 15.
        "scheduler.trigger_timeout_check_interval": "5",
    }
)
