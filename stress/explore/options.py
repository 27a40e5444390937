"""Options of `stress repro` and `stress explore`. All mistakes are reported together, before anything starts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress.arms import fixes as fix_catalogue
from stress.arms.code import code_of
from stress.arms.errors import UnknownRelease
from stress.arms.overlay import Part
from stress.arms.overlay.diff import read_diff
from stress.arms.releases import DEFAULT_RELEASE, Release
from stress.arms.releases import check as check_release
from stress.arms.spec import read_airflow
from stress.errors import StressError
from stress.exits import EXIT_USAGE

_ARMS = {"stock": "none", "fixed": "all", "proposed": "proposed"}
_DIFF = re.compile(r"(?:(?P<version>[^,/]+),)?diff:(?P<file>.+)")
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Mistakes(Exception):  # noqa: N818 - it is what is wrong with the options
    """All of them, as sentences."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = sentences

    def tell(self) -> int:
        """Print them to stderr; return the exit code."""
        for sentence in self.sentences:
            print(f"stress: {sentence}", file=sys.stderr)
        return EXIT_USAGE


@dataclass(frozen=True)
class Arm:
    """A release with fixes, and code that is laid over it, if any."""

    release: Release
    fixes: tuple[str, ...]
    label: str
    overlay: tuple[Part, ...] = ()

    @property
    def version(self) -> str:
        """The release's version; of an overlay that of its core, and what it is."""
        code = code_of(self.release, self.overlay)
        return self.release.version if code is None else code.on(self.release.version)


def arm(airflow: str, fixes: str, mistakes: list[str]) -> Arm | None:
    """The arm of `--airflow VERSION|PATH[@REV][+PATH...]|[VERSION,]diff:FILE` with these fixes.

    If there is none: None, and a sentence is added to `mistakes`.
    """
    overlay: tuple[Part, ...]
    try:
        if diff := _DIFF.fullmatch(airflow):
            release = check_release(diff["version"] or DEFAULT_RELEASE)
            overlay = (read_diff(Path(diff["file"]).absolute()),)
        else:
            found, overlay = read_airflow(airflow)
            release = found or check_release(DEFAULT_RELEASE)
    except (UnknownRelease, ValueError) as error:
        mistakes.append(f"--airflow: {error}")
        return None
    selection = _ARMS.get(fixes, "+".join(part for part in re.split(r"[,+]", fixes) if part))
    try:
        names = fix_catalogue.resolve(selection, release)
    except ValueError as error:
        mistakes.append(f"--fixes: {error}")
        return None
    return Arm(release, names, fixes, overlay)


def number(text: str, option: str, least: int, most: int, mistakes: list[str]) -> int:
    """Parse a whole number in a range. If it is not one: `least`, and a sentence is added to `mistakes`."""
    if not text.isdecimal() or not least <= int(text) <= most:
        mistakes.append(f"{option} {text!r} must be a whole number from {least} to {most}")
        return least
    return int(text)


def seconds(text: str, mistakes: list[str]) -> float:
    """Parse a time such as `90s`, in seconds. If it is not one: 0, and a sentence is added to `mistakes`."""
    match = _BUDGET.fullmatch(text)
    if match is None:
        mistakes.append(f"--budget {text!r} is not a time: write 90s, 5m or 1h")
        return 0.0
    return float(match[1]) * _UNIT_S[match[2]]


def unknown_operation(version: str, line: Mapping[str, Any]) -> str:
    """The message for a release whose source an operation does not know."""
    return f"the operation {line['operation']} does not support Airflow {version}: {line['why']}"


def check_fixes(names: Iterable[str], statuses: Mapping[str, str], race: str | None = None) -> None:
    """Raise StressError if a requested fix did not load: without it every number would be wrong.

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
    """Print a progress line to stderr."""
    print(f"stress: {text}", file=sys.stderr, flush=True)
