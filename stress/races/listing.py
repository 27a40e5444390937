"""`stress list races`: every race with its parts. A part that a race lacks is shown as a gap."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from stress.races.race import Race
from stress.races.registry import RACES

GAP = "-"
_HEADER = ["race", "issues", "scenario", "counted against", "metric", "reproducers", "fixes", "known causes"]


def table() -> list[list[str]]:
    """The header, and one or more lines a race. A metric is without its prefix and `_total`."""
    return [_HEADER, *(line for race in RACES.values() for line in _rows(race))]


def facts() -> list[dict[str, Any]]:
    """One object a race, in the order of the table; null or an empty list where a part is absent."""
    return [
        {
            "race": race.name,
            "summary": race.summary,
            "issues": list(race.issues),
            "scenario": race.scenario.name if race.scenario is not None else None,
            "needs_faults": race.needs_faults,
            "checker": race.check is not None,
            "causes": list(race.causes),
            "unit": race.unit or None,
            "metric": _metric(race),
            "reproducers": {reproducer.name: reproducer.removed_by.name for reproducer in race.reproducers},
            "fixes": [fix.name for fix in race.fixes],
        }
        for race in RACES.values()
    ]


def _rows(race: Race) -> list[list[str]]:
    """A race's line, and further lines for what it has several of."""
    scenario = [scenario.name for scenario in race.scenarios] or [GAP]
    columns: list[list[str]] = [
        [race.name],
        [f"#{issue}" for issue in race.issues],
        [*scenario, *(["with --faults"] if race.needs_faults else [])],
        [race.unit or GAP],
        [race.headline.name if race.headline is not None else GAP],
        [reproducer.name for reproducer in race.reproducers],
        [fix.name for fix in race.fixes],
        list(race.causes),
    ]
    lines = zip_longest(*(column or [GAP] for column in columns), fillvalue="")
    return [list(line) for line in lines]


def _metric(race: Race) -> str | None:
    return race.headline.metric if race.headline is not None else None
