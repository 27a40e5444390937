"""What a scenario is: the races it provokes and what it needs for that.

A scenario is data: which DAGs must be there, which users of the load take part, what the cluster must be told, which
observers must see. Scenarios are joined into one load, since the races are races of one cluster under one load; each
can be asked for alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scenario:
    """One way to provoke races. `config` is Airflow's, `section.key` to value; `releases` says where it can run."""

    name: str
    summary: str
    races: tuple[str, ...]
    dags: tuple[str, ...]
    users: tuple[str, ...]
    observers: tuple[str, ...]
    config: Mapping[str, str] = field(default_factory=dict)
    fault_races: tuple[str, ...] = ()
    """Races that are asked for only if the plan has faults: without them Airflow has nothing to recover from."""
