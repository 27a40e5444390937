"""A scenario: how races are provoked, and what that needs.

A scenario is data: which DAGs must exist, which users of the load take part, which configuration the cluster needs,
which observers must see. Scenarios are joined into one load, since the races are races of one cluster under one load;
each can be asked for alone. Which races a scenario is asked for is in the races (`Race.scenario`). A run without a
choice takes the scenarios that are not `on_request`.
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

    on_request: bool = False
    """Whether it takes part only if it, or a race of it, is asked for."""

    dag_files: tuple[str, ...] = ()
    """Files of `dags/`, without `.py`, that the dag-processor reads only in a run with this scenario."""

    api_workers: int = 1
    """How many processes the api-server has at least."""

    hollow_workers: int = 12
    """How many tasks the hollow workers of each scheduler play at a time at least."""
