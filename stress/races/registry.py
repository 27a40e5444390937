"""All races: the only list of them. Every other list of races derives from this one or is tested against it.

A race is found by its package: each package in this directory has a `RACE` with the package's name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from stress import races
from stress.checkers.view import BlockView
from stress.races.race import Checker, Headline, Race
from stress.races.scenario import Scenario
from stress.results import UNIT, BlockCheck


def _found() -> list[Race]:
    """The race of each package, in the order in which races are reported."""
    names = [module.name for module in pkgutil.iter_modules(races.__path__) if module.ispkg]
    found: list[Race] = [importlib.import_module(f"{races.__name__}.{name}").RACE for name in names]
    return sorted(found, key=lambda race: (race.place, race.name))


RACES: Mapping[str, Race] = MappingProxyType({race.name: race for race in _found()})
"""Every race by its name, in the order in which races are reported."""

CHECKERS: Mapping[str, Checker] = MappingProxyType(
    {race.name: race.check for race in RACES.values() if race.check is not None}
)
"""The checkers of the races that have one."""

CAUSES: Mapping[str, tuple[str, ...]] = MappingProxyType({name: RACES[name].causes for name in CHECKERS})
"""The known causes of each race that has a checker."""

HEADLINES: Mapping[str, Headline] = MappingProxyType(
    {race.name: race.headline for race in RACES.values() if race.headline is not None}
)
"""The counters of the races that have one."""

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {scenario.name: scenario for race in RACES.values() for scenario in race.scenarios}
)
"""Every scenario by its name, in the order of its first race."""


DAG_FILES = tuple(name for scenario in SCENARIOS.values() for name in scenario.dag_files)
"""Every file of `dags/` that only some scenarios need."""


def races_of(scenarios: Sequence[Scenario], *, faults: bool) -> tuple[str, ...]:
    """The races that these scenarios are asked for, those that need faults last."""
    asked = [race for race in RACES.values() if any(scenario in race.scenarios for scenario in scenarios)]
    wanted = [race for race in asked if not race.needs_faults]
    return tuple(race.name for race in (*wanted, *(race for race in asked if race.needs_faults and faults)))


def scenario_of(race: str) -> str:
    """The name of the scenario that asks for a race."""
    scenario = RACES[race].scenario
    if scenario is None:
        raise KeyError(f"no scenario asks for {race}")
    return scenario.name


def unit_of(race: str) -> str:
    """What an opportunity of this race is called, in the plural."""
    return (RACES[race].unit if race in RACES else "") or UNIT


def check(race: str, view: BlockView) -> BlockCheck:
    """Run one checker. If a checker raises an exception, its race is blind on this block, with the exception as the
    reason."""
    try:
        return CHECKERS[race](view)
    except Exception as error:  # a defect of the checker must never count as "no incident"
        reason = f"the checker of {race} failed: {type(error).__name__}: {error}"
        return BlockCheck(race, view.block, view.arm, (), 0, view.load_s, (reason,))
