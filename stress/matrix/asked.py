"""What `stress matrix` and `stress rc` are asked for, checked whole before anything starts."""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stress.arms.errors import EnvironmentFailed, UnknownRelease
from stress.arms.releases import OLDEST, Release, between, check, locked
from stress.exits import EXIT_FAILED, EXIT_USAGE
from stress.explore import options
from stress.matrix.fill import reproducers_of
from stress.races.registry import RACES

ALL = "all"
MOST_TIMES = 1000


class Refused(Exception):  # noqa: N818 - it says what happened
    """All mistakes in the options, and what the machine lacks."""

    def __init__(self, mistakes: Sequence[str], machine: Sequence[str]) -> None:
        super().__init__("; ".join([*mistakes, *machine]))
        self.mistakes = tuple(mistakes)
        self.machine = tuple(machine)

    def tell(self) -> int:
        """Print them to stderr; return the exit code."""
        for sentence in (*self.mistakes, *self.machine):
            print(f"stress: {sentence}", file=sys.stderr)
        return EXIT_USAGE if self.mistakes else EXIT_FAILED


@dataclass
class Faults:
    """What is wrong, gathered while options are read."""

    mistakes: list[str] = field(default_factory=list)
    machine: list[str] = field(default_factory=list)

    def end(self) -> None:
        """Raise Refused if anything is wrong."""
        if self.mistakes or self.machine:
            raise Refused(list(dict.fromkeys(self.mistakes)), self.machine)


def release(version: str, option: str, faults: Faults) -> Release | None:
    """A release that exists."""
    try:
        return check(version)
    except UnknownRelease as error:
        faults.mistakes.append(f"{option} {version!r}: {error}")
        return None


def resolve(releases: Sequence[Release], faults: Faults) -> None:
    """Resolve the packages of releases that have no lock yet: what cannot be resolved must not start."""
    for each in releases:
        try:
            locked(each, options.progress)
        except EnvironmentFailed as error:
            faults.machine.append(str(error))


def final_before(newer: Release, faults: Faults) -> Release | None:
    """The newest final release below another one, of those that are known or that the package index has."""
    older = () if newer.number <= OLDEST else between(str(OLDEST), newer.version)
    finals = [each for each in older if not each.number.is_prerelease and each.number < newer.number]
    if not finals:
        faults.mistakes.append(
            f"there is no final release before {newer.version} that can run here ({OLDEST} is the oldest): name an "
            f"earlier pre-release with --against, or see it alone with: stress matrix --airflow {newer.version}"
        )
        return None
    return finals[-1]


def races(names: Sequence[str], faults: Faults) -> tuple[str, ...]:
    """The races asked for, in the order of the registry: by default all that have a reproducer."""
    possible = tuple(name for name in RACES if reproducers_of(name))
    wrong = [name for name in dict.fromkeys(names) if name not in (ALL, *possible)]
    for name in wrong:
        why = "has no reproducer" if name in RACES else "is unknown"
        faults.mistakes.append(f"--race {name!r} {why}: there are {', '.join(possible)}; or {ALL}")
    # With a wrong name, all of them: the other options are still checked.
    return possible if not names or wrong or ALL in names else tuple(name for name in possible if name in names)


def times(text: str, faults: Faults) -> int:
    """The plays of each reproducer."""
    return options.number(text, "--times", 1, MOST_TIMES, faults.mistakes)


def directory(out: str | None, what: str) -> Path:
    """The directory of the results; a new one in `runs/` by default."""
    if out is None:
        return Path("runs").absolute() / f"{what}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    return Path(out).expanduser().absolute()


def not_asked() -> dict[str, str]:
    """The races without a reproducer, with the reason and another way to see each."""
    found = {}
    for name, race in RACES.items():
        if reproducers_of(name):
            continue
        if race.scenario is not None and race.needs_faults:
            found[name] = f"it needs faults under load: stress run --scenario {race.scenario.name} --faults all"
        elif race.scenario is not None:
            found[name] = f"it has no reproducer: stress run --race {name}"
        else:
            found[name] = f"it has no reproducer: {race.reproduced_by or 'see its README'}"
    return found


def split(text: str) -> list[str]:
    """`A,B, C` as names, each once."""
    return list(dict.fromkeys(part for part in re.split(r"[,\s]+", text) if part))
