"""What the options of `stress repro` and `stress explore` mean; all mistakes are told before anything starts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stress.arms import fixes as fix_catalogue
from stress.arms.errors import UnknownRelease
from stress.arms.releases import Release
from stress.arms.releases import check as check_release
from stress.errors import StressError
from stress.exits import EXIT_USAGE

_ARMS = {"stock": "none", "fixed": "all", "proposed": "proposed"}
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Mistakes(Exception):  # noqa: N818 - it is what is wrong with the options
    """All of them, as sentences."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = sentences

    def tell(self) -> int:
        """Say them; the exit code."""
        for sentence in self.sentences:
            print(f"stress: {sentence}", file=sys.stderr)
        return EXIT_USAGE


@dataclass(frozen=True)
class Arm:
    """A release with fixes."""

    release: Release
    fixes: tuple[str, ...]
    label: str

    @property
    def version(self) -> str:
        """The release's number."""
        return self.release.version


def arm(version: str, fixes: str, mistakes: list[str]) -> Arm | None:
    """The arm that is meant; None, and a sentence more, if there is no such one."""
    try:
        release = check_release(version)
    except UnknownRelease as error:
        mistakes.append(f"--airflow: {error}")
        return None
    selection = _ARMS.get(fixes, "+".join(part for part in re.split(r"[,+]", fixes) if part))
    try:
        names = fix_catalogue.resolve(selection, release)
    except ValueError as error:
        mistakes.append(f"--fixes: {error}")
        return None
    return Arm(release, names, fixes)


def number(text: str, option: str, least: int, most: int, mistakes: list[str]) -> int:
    """A whole number of a range; the least, and a sentence more, if it is none."""
    if not text.isdecimal() or not least <= int(text) <= most:
        mistakes.append(f"{option} {text!r} must be a whole number from {least} to {most}")
        return least
    return int(text)


def seconds(text: str, mistakes: list[str]) -> float:
    """A time such as `90s`, in seconds; 0, and a sentence more, if it is none."""
    match = _BUDGET.fullmatch(text)
    if match is None:
        mistakes.append(f"--budget {text!r} is no time: give 90s, 5m or 1h")
        return 0.0
    return float(match[1]) * _UNIT_S[match[2]]


def unknown_operation(version: str, line: Mapping[str, Any]) -> str:
    """The sentence for a release whose code an operation was not written for."""
    return f"Airflow {version} is not what the operation {line['operation']} knows: {line['why']}"


def check_fixes(names: Iterable[str], statuses: Mapping[str, str], race: str | None = None) -> None:
    """A fix that was asked for and did not load makes every number a lie. Raises StressError.

    `race`: whose fixes must have loaded, or be not needed; the others may not have been refused.
    """
    for name in names:
        status = statuses.get(name, "silent")
        missing = race is not None and fix_race(name) == race and status not in ("loaded", "not_needed")
        if missing or status in ("refused", "error"):
            raise StressError(f"fix {name} was asked for and did not load in the process ({status}): no result")


def fix_race(name: str) -> str:
    """The race that a fix is for."""
    return next(fact.race for fact in fix_catalogue.facts() if fact.name == name)


def progress(text: str) -> None:
    """What goes on, for whoever waits."""
    print(f"stress: {text}", file=sys.stderr, flush=True)
