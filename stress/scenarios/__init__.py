"""Scenarios: what is done to a cluster so that races appear. One file a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stress.scenarios import deadline_miss, trigger_cancel, version_churn
from stress.scenarios.base import Scenario

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {scenario.name: scenario for scenario in (version_churn.SCENARIO, deadline_miss.SCENARIO, trigger_cancel.SCENARIO)}
)
"""Every scenario by its name, in the order in which their races are reported."""
