"""What a run is asked to decide, and of what."""

from __future__ import annotations

import msgspec

from stress.events.base import Event
from stress.results import ArmCode


class RunPlanned(Event, frozen=True, kw_only=True, tag="run_planned"):
    """The run's identity and what it is asked to decide."""

    run_id: str
    seed: int
    races: list[str]
    scenarios: list[str]


class ArmPlanned(Event, frozen=True, kw_only=True, tag="arm_planned"):
    """One arm of the plan, in order; the first is the control, the last is under test.

    `fix_roles` has, for each fix, the roles whose processes must load it; histories of schema 2 and before have none.
    """

    name: str
    airflow: str
    fixes: list[str]
    config: dict[str, str] = msgspec.field(default_factory=dict)
    code: ArmCode | None = None
    fix_roles: dict[str, list[str]] = msgspec.field(default_factory=dict)
