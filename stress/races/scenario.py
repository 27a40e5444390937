"""A scenario: how races are provoked, and what that needs.

A scenario is data: which DAGs must exist, which users of the load take part, which configuration the cluster needs,
which observers must see. Scenarios are joined into one load, since the races are races of one cluster under one load;
each can be asked for alone. Which races a scenario is asked for is in the races (`Race.scenario`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scenario:
    """One way to provoke races. `config` is Airflow's, `section.key` to value."""

    name: str
    summary: str
    dags: tuple[str, ...]
    users: tuple[str, ...]
    """Names of Locust users, of `stress/load/users.py` or a race's `load.py`: their classes cannot be imported here,
    because Locust replaces the sockets of the process that imports them."""

    observers: tuple[str, ...]
    config: Mapping[str, str] = field(default_factory=dict)
    endless_dags: tuple[str, ...] = ()
    """Those of the DAGs whose runs never end by themselves: nothing waits for them when a block settles."""
