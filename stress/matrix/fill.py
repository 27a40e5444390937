"""Fills the cells of a directory: what is stored is kept, what is missing is played."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from stress.arms.releases import Release
from stress.explore.catalogue import RACES, Race
from stress.matrix.cells import Cell, state_of
from stress.matrix.play import Played, play
from stress.matrix.store import Store, listing_path

Cells = Mapping[tuple[str, str], Cell]
"""By race and release."""


def fill(
    store: Store, releases: Sequence[Release], races: Sequence[str], times: int, progress: Callable[[str], None]
) -> Cells:
    """All cells, those of the first release first. Raises OSError if one cannot be stored."""
    found: dict[tuple[str, str], Cell] = {}
    for release in releases:
        stored = {race: cell for race in races if (cell := store.cell(race, release.version)) is not None}
        if stored:
            progress(f"Airflow {release.version}: {len(stored)} of {len(races)} races are stored")
        found |= {(race, release.version): cell for race, cell in stored.items()}
        missing = [race for race in races if race not in stored]
        for cell in _play(store, release, missing, times, progress):
            found[cell.race, cell.release] = cell
            progress(f"Airflow {release.version}: {cell.race}: {cell.state}")
    return found


def _play(
    store: Store, release: Release, races: Sequence[str], times: int, progress: Callable[[str], None]
) -> Iterator[Cell]:
    """Play the reproducers of these races, and store each cell with its last one."""
    reproducers = [each for race in races for each in reproducers_of(race)]
    played: dict[str, list[Played]] = {race: [] for race in races}
    for each in play(release, reproducers, times, progress):
        race = each.reproducer.race
        played[race].append(each)
        if len(played[race]) == len(reproducers_of(race)):
            yield _keep(store, release, race, played[race])


def _keep(store: Store, release: Release, race: str, played: Sequence[Played]) -> Cell:
    links = {each.reproducer.name: listing_path(each.reproducer.name, release.version) for each in played}
    tried = tuple(msgspec.structs.replace(each.tried, link=links[each.tried.name]) for each in played)
    cell = Cell(race, release.version, state_of(tried), tried)
    store.keep(cell, {links[each.reproducer.name]: each.listing for each in played})
    return cell


def reproducers_of(race: str) -> tuple[Race, ...]:
    """The reproducers of a race; none if it has none."""
    return tuple(each for each in RACES.values() if each.race == race)
