"""`stress bisect RACE FIRST..LAST`: which release, or which commit of a checkout, brought a race or removed it.

A race is decided by its reproducers: seconds for each point, and no chance in it. Exit codes: 0 a change was found,
2 none was (the race is there in all or in none of the points that could be played), 64 bad arguments, 3 the machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stress.arms.errors import ArmsError, UnknownRelease
from stress.arms.overlay.checkout import commit_of
from stress.arms.overlay.git import GitFailed, git
from stress.arms.releases import between
from stress.exits import EXIT_UNKNOWN
from stress.explore import options
from stress.explore.catalogue import Race, race_names, races_named
from stress.explore.changes import Change, changes
from stress.explore.options import Mistakes
from stress.explore.outcome import Outcome, occurs, outcomes

MOST_TIMES = 1000
MOST_REVISIONS = 4096


@dataclass(frozen=True)
class Point:
    """A release, or a revision of a checkout: as it is printed, and as `--airflow` takes it."""

    label: str
    airflow: str


class Bisection:
    """Plays the points that are asked for, prints each outcome, and keeps it."""

    def __init__(self, points: Sequence[Point], reproducers: Sequence[Race], times: int, fixes: str) -> None:
        self._points = points
        self._reproducers = reproducers
        self._times = times
        self._fixes = fixes
        self.found: dict[int, tuple[Outcome, ...]] = {}

    def occurs(self, number: int) -> bool | None:
        """Whether the race occurs at a point."""
        point = self._points[number]
        mistakes: list[str] = []
        arm = options.arm(point.airflow, self._fixes, mistakes)
        if arm is None:
            self.found[number] = (Outcome(self._reproducers[0].race, reason="; ".join(mistakes)),)
        else:
            self.found[number] = outcomes(arm, self._reproducers, self._times, options.progress)
        played = "; ".join(f"{outcome.reproducer} {outcome}" for outcome in self.found[number])
        answer = occurs(self.found[number])
        word = {True: "occurs", False: "does not occur", None: "not exercised"}[answer]
        print(f"stress: {point.label}: {word} ({played})", file=sys.stderr, flush=True)
        return answer


def bisect(race: str, span: str, repo: str | None, fixes: str, times: str, *, as_json: bool) -> int:
    """Find the changes of a race on a line of releases or revisions. The exit code."""
    mistakes: list[str] = []
    reproducers = races_named(race)
    if not reproducers:
        mistakes.append(f"there is no race {race!r} to reproduce: there are {', '.join(race_names())}")
    number = options.number(times, "--times", 1, MOST_TIMES, mistakes)
    points = _points(span, repo, mistakes)
    if points:
        options.arm(points[0].airflow, fixes, mistakes)
    if mistakes:
        return Mistakes(list(dict.fromkeys(mistakes))).tell()
    bisection = Bisection(points, reproducers, number, fixes)
    found = changes(len(points), bisection.occurs)
    print(
        _as_json(race, fixes, points, bisection, found) if as_json else _as_text(race, fixes, points, bisection, found)
    )
    return 0 if found else EXIT_UNKNOWN


def _points(span: str, repo: str | None, mistakes: list[str]) -> tuple[Point, ...]:
    first, dots, last = span.partition("..")
    if not dots or not first or not last or last.startswith("."):
        mistakes.append(
            f"{span!r} must be FIRST..LAST: two releases such as 3.1.0..3.3.2, or two revisions with --repo"
        )
        return ()
    try:
        if repo is None:
            return tuple(Point(release.version, release.version) for release in between(first, last))
        return _revisions(Path(repo).absolute(), first, last)
    except (UnknownRelease, ArmsError, GitFailed, ValueError) as error:
        mistakes.append(str(error))
        return ()


def _revisions(repo: Path, first: str, last: str) -> tuple[Point, ...]:
    """The commits from one revision to the other, along first parents: a merge is one step, as on the main branch."""
    if not repo.is_dir():
        raise ValueError(f"--repo {repo} is not a directory")
    start, end = commit_of(repo, first), commit_of(repo, last)
    later = git(repo, "rev-list", "--reverse", "--first-parent", "--ancestry-path", f"{start}..{end}").split()
    if not later:
        raise ValueError(f"{last} is not a descendant of {first} in {repo}: give the older revision first")
    if len(later) > MOST_REVISIONS:
        raise ValueError(f"{first}..{last} has {len(later)} commits, more than {MOST_REVISIONS}: give a shorter span")
    return tuple(Point(_described(repo, commit), f"{repo}@{commit}") for commit in (start, *later))


def _described(repo: Path, commit: str) -> str:
    subject = git(repo, "show", "--no-patch", "--format=%h %s", commit).strip()
    return subject if len(subject) <= 60 else f"{subject[:57]}..."


def _as_text(race: str, fixes: str, points: Sequence[Point], bisection: Bisection, found: Sequence[Change]) -> str:
    lines = []
    for number, outcome in sorted(bisection.found.items()):
        counts = ", ".join(f"{each.reproducer} {each}" for each in outcome)
        lines.append(f"{points[number].label:<24}  {counts}")
    lines += ["", *(_sentence(race, change, points) for change in found)]
    if not found:
        answers = {occurs(outcome) for outcome in bisection.found.values()} - {None}
        if not answers:
            lines.append(f"{race}, {fixes}: unknown: no point could be played")
        else:
            state = "occurs at every point" if True in answers else "does not occur at any point"
            lines.append(f"{race}, {fixes}: no change: it {state} that was played")
    return "\n".join(lines)


def _sentence(race: str, change: Change, points: Sequence[Point]) -> str:
    before, after = points[change.before].label, points[change.after].label
    verb = "came with" if change.occurs_after else "was removed by"
    doubt = "" if change.after == change.before + 1 else f" or a point since {before} that could not be played"
    return f"{race} {verb} {after}{doubt} (the point before: {before})"


def _as_json(race: str, fixes: str, points: Sequence[Point], bisection: Bisection, found: Sequence[Change]) -> str:
    document = {
        "race": race,
        "fixes": fixes,
        "points": [
            {
                "point": points[number].label,
                "occurs": occurs(outcome),
                "reproducers": [
                    {"name": each.reproducer, "occurred": each.occurred, "plays": each.plays, "reason": each.reason}
                    for each in outcome
                ],
            }
            for number, outcome in sorted(bisection.found.items())
        ],
        "changes": [
            {
                "before": points[change.before].label,
                "after": points[change.after].label,
                "change": "introduced" if change.occurs_after else "removed",
            }
            for change in found
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
