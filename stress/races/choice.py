"""Which races a run without `--race` and `--scenario` takes: those that the Airflow of its arms can have.

The registry knows it by the fixes: a race is left out if each of its fixes says that it is not needed on the release of
each arm. Code that the registry does not know (another release, a checkout, a wheel, a diff) can have every race. Where
none of the races of the default scenarios is left, the scenarios that are otherwise run on request take their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_stress_fixes.fix import Fit
from stress.races.race import Race
from stress.races.registry import RACES, SCENARIOS
from stress.races.scenario import Scenario


class NoRaceLeft(Exception):  # noqa: N818 - it says what happened
    """No scenario provokes a race that these releases can have. The message is a sentence for the user."""


@dataclass(frozen=True)
class Choice:
    """The races of a run that was asked for none."""

    scenarios: tuple[Scenario, ...]
    races: tuple[str, ...]
    why: str
    """What was chosen by, for the first lines of a run."""

    left_out: Mapping[str, str]
    """The races of the default scenarios that are not judged, with the reason."""


def without_request(releases: Sequence[str | None], *, faults: bool, known: Iterable[Race] | None = None) -> Choice:
    """The choice for arms of these releases; None is an arm with code that the registry does not know.

    `known`: the races to choose from; all by default. Raises NoRaceLeft.
    """
    races = tuple(RACES.values() if known is None else known)
    pairs = [
        (race, scenario)
        for scenario in SCENARIOS.values()
        for race in races
        if scenario in race.scenarios and (faults or not race.needs_faults)
    ]
    default = [(race, scenario) for race, scenario in pairs if not scenario.on_request]
    taken = [pair for pair in default if _possible(*pair, releases)]
    which = "the races of the default scenarios"
    if all(race.needs_faults for race, _ in taken):
        taken = [pair for pair in pairs if _possible(*pair, releases)]
        which = "all races that a load provokes, because none of the default scenarios has any"
    named = " or ".join(dict.fromkeys(_named(release) for release in releases))
    if not taken:
        raise NoRaceLeft(
            f"no load provokes a race that {named} can have, by the registry: play the reproducers "
            f"(`stress repro all --airflow {releases[-1]}`), or name races with --race (`stress list races`)"
        )
    scenarios = {scenario.name for _, scenario in taken}
    names = {race.name for race, _ in taken}
    return Choice(
        scenarios=tuple(scenario for name, scenario in SCENARIOS.items() if name in scenarios),
        races=_in_order(races, names),
        why=f"without --race: {which} that {named} can have, by the registry",
        left_out=dict.fromkeys(
            _in_order(races, {race.name for race, _ in default} - names),
            f"no arm can have it, by the registry ({named}; `stress list fixes`)",
        ),
    )


def can_have(race: Race, scenario: Scenario, release: str | None) -> bool:
    """Whether a scenario can provoke a race on a release, as far as the registry knows."""
    ours = [fix for fix in race.fixes if not fix.proposed and (fix in race.also_fixes) is (scenario in race.also)]
    return release is None or not ours or any(fix.fits(release) is not Fit.NOT_NEEDED for fix in ours)


def _possible(race: Race, scenario: Scenario, releases: Sequence[str | None]) -> bool:
    return any(can_have(race, scenario, release) for release in releases)


def _in_order(races: Sequence[Race], names: Iterable[str]) -> tuple[str, ...]:
    """Races that need faults are last, as everywhere."""
    wanted = set(names)
    return tuple(race.name for race in sorted(races, key=lambda race: race.needs_faults) if race.name in wanted)


def _named(release: str | None) -> str:
    return f"Airflow {release}" if release is not None else "code of one's own"
