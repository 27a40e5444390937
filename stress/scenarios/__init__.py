"""Scenarios: what is done to a cluster so that races appear. One file a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from stress.scenarios import deadline_miss, trigger_cancel, version_churn
from stress.scenarios.base import Scenario

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {scenario.name: scenario for scenario in (version_churn.SCENARIO, deadline_miss.SCENARIO, trigger_cancel.SCENARIO)}
)
"""Every scenario by its name, in the order in which their races are reported."""


def races_of(scenarios: Sequence[Scenario], *, faults: bool) -> tuple[str, ...]:
    """The races that these scenarios are asked for, those that need faults last."""
    races = [race for scenario in scenarios for race in scenario.races]
    under_faults = [race for scenario in scenarios for race in scenario.fault_races] if faults else []
    return tuple(dict.fromkeys([*races, *under_faults]))


def scenario_of(race: str) -> str:
    """The name of the scenario that asks for a race."""
    return next(name for name, each in SCENARIOS.items() if race in (*each.races, *each.fault_races))
