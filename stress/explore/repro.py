"""`stress repro`: play the twins of races, and show how each of them happens.

Exit codes: 1 a race occurred at all, 0 none ever did; 64 bad arguments, all told at once; 3 the machine, or a fix that
did not load, or a release whose code a twin does not know (the other twins are played all the same).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stress.arms.releases import DEFAULT_RELEASE
from stress.errors import StressError
from stress.exits import EXIT_FAILED
from stress.explore import options
from stress.explore.catalogue import LOCKED, RACES, Race, race_names, races_named
from stress.explore.listing import render
from stress.explore.options import Arm, Mistakes
from stress.explore.runner import Runner

ALL = "all"
MOST_TIMES = 10_000
_EACH_S = 5.0
"""How long one play may take, at most."""


def repro(names: Sequence[str], airflow: str | None, fixes: str, times: str) -> int:
    """Play some races' twins. The exit code."""
    try:
        twins, arm, number = _check(names, airflow, fixes, times)
    except Mistakes as mistakes:
        return mistakes.tell()
    playing = _Playing(arm, number)
    try:
        database = [twin for twin in twins if not twin.coroutines]
        if database:
            playing.play(database, {"command": "repro", "twins": [twin.name for twin in database], "times": number})
        for twin in twins:
            if twin.coroutines:
                playing.play([twin], {"mode": "repro", "race": twin.name, "times": number})
    except StressError as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    if len(twins) > 1:
        print("\n" + "\n".join(playing.results))
    for sentence in playing.unknown:
        print(f"stress: {sentence}", file=sys.stderr)
    return EXIT_FAILED if playing.unknown else int(playing.occurred)


def _check(names: Sequence[str], airflow: str | None, fixes: str, times: str) -> tuple[list[Race], Arm, int]:
    mistakes: list[str] = []
    groups = []
    for name in names:
        group = tuple(RACES.values()) if name == ALL else races_named(name)
        groups.append(group)
        if not group:
            mistakes.append(f"there is no race {name!r} to reproduce: there are {', '.join((ALL, *race_names()))}")
    number = options.number(times, "--times", 1, MOST_TIMES, mistakes)
    version = airflow or _release_with([twin for group in groups for twin in group])
    arm = options.arm(version, fixes, mistakes)
    if mistakes or arm is None:
        raise Mistakes(mistakes)
    wanted: dict[str, Race] = {}
    for group in groups:
        # A race of several causes: those that the release has. With none, all of them are played, to show that.
        having = [twin for twin in group if version in twin.releases or version not in LOCKED] or group
        wanted.update((twin.name, twin) for twin in having)
        for skipped in [twin for twin in group if twin not in having]:
            print(f"{skipped.name}: Airflow {version} hasn't it (it is in {', '.join(skipped.releases)})")
    return list(wanted.values()), arm, number


def _release_with(twins: Sequence[Race]) -> str:
    """The default release, or the first one that has a race if that one has none."""
    having = [release for twin in twins for release in twin.releases]
    return DEFAULT_RELEASE if not having or DEFAULT_RELEASE in having else having[0]


@dataclass
class _Playing:
    """Plays twins, tells what happens, and counts."""

    arm: Arm
    times: int
    occurred: bool = False
    results: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def play(self, twins: Sequence[Race], request: dict[str, Any]) -> None:
        """In one process. Raises StressError."""
        runner = Runner(self.arm.release, self.arm.fixes, options.progress)
        budget_s = self.times * _EACH_S * len(twins)
        lines = runner.ask(request, coroutines=twins[0].coroutines, budget_s=budget_s)
        for plays, twin in zip(_by_twin(lines), twins, strict=False):
            if plays[-1]["kind"] == "unknown_operation":
                self.unknown.append(options.unknown_operation(self.arm.version, plays[-1]))
                continue
            options.check_fixes(runner.fixes, runner.statuses, twin.race)
            self._tell(twin, [line for line in plays if line["kind"] == "schedule"])

    def _tell(self, twin: Race, plays: Sequence[Mapping[str, Any]]) -> None:
        print(f"{twin.name}: {twin.summary}\n\n{render(plays[0]['steps'])}\n")
        for failure in plays[0]["failures"]:
            print(f"  {failure['invariant']}: {failure['detail']}")
        version = self.arm.version
        if version in LOCKED and version not in twin.releases:
            print(f"Airflow {version} hasn't this race: it is in {', '.join(twin.releases)}")
        occurred = sum(not line["ok"] for line in plays)
        self.occurred |= occurred > 0
        result = f"{twin.name} on {version}, {self.arm.label}: {occurred} of {len(plays)}"
        self.results.append(result)
        print(result, flush=True)


def _by_twin(lines: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The lines of each twin, which a summary ends, or the word that it is unknown."""
    gathered = []
    for line in lines:
        gathered.append(line)
        if line["kind"] in ("summary", "unknown_operation"):
            yield gathered
            gathered = []
