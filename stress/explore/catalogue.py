"""What there is to reproduce and to explore: the data of `airflow_stress_explore.airflow`, for both engines."""

from __future__ import annotations

import enum
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.version import Version

from stress.layout import MOUNTED

if str(MOUNTED) not in sys.path:
    sys.path.append(str(MOUNTED))

from airflow_stress_explore.airflow import pairs as database_pairs
from airflow_stress_explore.airflow import reproducers as database_reproducers
from airflow_stress_explore.airflow.comms import pairs as comms_pairs

LOCKED = ("3.1.8", "3.2.1", "3.3.2", "3.4.0b2")


class Engine(enum.Enum):
    """What plays a pair's schedules; the value is the module of its process."""

    SQL = "airflow_stress_explore.airflow.main"
    AIO = "airflow_stress_explore.airflow.comms.main"


@dataclass(frozen=True)
class Race:
    """A reproducer of a race."""

    name: str
    race: str
    summary: str
    engine: Engine
    releases: tuple[str, ...]
    """The locked releases that are known to have it."""

    fix: str
    """The fix that removes it alone."""

    since: tuple[int, int] = (3, 1)
    """The first minor version of Airflow that has what the race is about."""

    def is_of(self, version: str) -> bool:
        """Whether a release has what the race is about."""
        return Version(version).release[:2] >= self.since


@dataclass(frozen=True)
class Searchable:
    """A pair."""

    name: str
    summary: str
    engine: Engine
    since: tuple[int, int] = (3, 1)
    """The first minor version of Airflow that has what the pair is about."""

    def is_of(self, version: str) -> bool:
        """Whether a release has what the pair is about."""
        return Version(version).release[:2] >= self.since

    @property
    def coroutines(self) -> bool:
        """Whether its actors are coroutines on an event loop, and not sessions of a database."""
        return self.engine is Engine.AIO


RACES: Mapping[str, Race] = {
    race.name: race
    for race in (
        *(
            Race(it.name, it.race, it.summary, Engine.SQL, it.releases, it.fix, it.since)
            for it in database_reproducers.REPRODUCERS.values()
        ),
        *(
            Race(it.name, it.race, it.summary, Engine.AIO, it.releases, it.fix)
            for it in comms_pairs.REPRODUCERS.values()
        ),
    )
}

PAIRS: Mapping[str, Searchable] = {
    pair.name: pair
    for pair in (
        *(Searchable(it.name, it.note, Engine.SQL, it.since) for it in database_pairs.PAIRS.values()),
        *(Searchable(it.name, it.summary, Engine.AIO) for it in comms_pairs.PAIRS.values()),
    )
}


def races_named(name: str) -> tuple[Race, ...]:
    """The reproducers that a name means: one, or all of a race; none if there is no such name."""
    return tuple(race for race in RACES.values() if name in (race.name, race.race))


def race_names() -> tuple[str, ...]:
    """Everything that `races_named` knows."""
    return tuple(dict.fromkeys(name for race in RACES.values() for name in (race.race, race.name)))
