"""The components of a cluster: their names, roles and commands, on every runtime.

A component is one Airflow process with its children (`scheduler-1`). Its name is also its host name, its application
name in PostgreSQL, the name of its log file, its service in docker-compose.yml and its label in metrics. What is
written about components elsewhere (docker-compose.yml, dashboards) is tested against this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType


class Role(StrEnum):
    """What a component does. PostgreSQL and the watchdog are not components, but have events and measures as well."""

    API_SERVER = "api-server"
    DAG_PROCESSOR = "dag-processor"
    SCHEDULER = "scheduler"
    TRIGGERER = "triggerer"
    POSTGRES = "postgres"
    WATCHDOG = "watchdog"


@dataclass(frozen=True)
class ComponentSpec:
    """One component. `command` is what follows `airflow` on its command line; a runtime may add its own options."""

    name: str
    role: Role
    command: tuple[str, ...]


def components(schedulers: int = 2, triggerers: int = 2, api_workers: int = 1) -> tuple[ComponentSpec, ...]:
    """The components of a cluster in the order of their start. The api-server comes first: it imports the most.

    No component serves its logs: components share a disk.
    """
    return (
        ComponentSpec("api-server", Role.API_SERVER, ("api-server", "--workers", str(api_workers))),
        *_peers(Role.SCHEDULER, schedulers),
        ComponentSpec("dag-processor", Role.DAG_PROCESSOR, ("dag-processor",)),
        *_peers(Role.TRIGGERER, triggerers),
    )


def _peers(role: Role, number: int) -> list[ComponentSpec]:
    command = (role.value, "--skip-serve-logs")
    return [ComponentSpec(f"{role}-{place}", role, command) for place in range(1, number + 1)]


COMPONENTS: Mapping[str, ComponentSpec] = MappingProxyType({spec.name: spec for spec in components()})
"""The default components by name, in the order of their start."""

NAMES: tuple[str, ...] = tuple(sorted(COMPONENTS))
"""Their names in alphabetical order. A seed draws from this order: do not change it."""

TRIGGERERS: tuple[str, ...] = tuple(name for name in NAMES if COMPONENTS[name].role is Role.TRIGGERER)


@cache
def role_of(component: str) -> str:
    """`scheduler` for `scheduler-2`, `api-server` for `api-server`."""
    head, _, tail = component.rpartition("-")
    return head if tail.isdigit() else component
