"""`stress repro` and `stress explore`: check everything, play, tell.

Exit codes of `repro`: 1 the race occurred at all, 0 it never did. Of `explore`: 1 a schedule fails, 0 all were tried
without one, 2 the budget ended first. Of both: 64 bad arguments, all told at once; 3 the machine, or a fix that did not
load, or a release whose code a twin or pair does not know.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Any

from stress.arms import fixes as fix_catalogue
from stress.arms.errors import StressError, UnknownRelease
from stress.arms.releases import DEFAULT_RELEASE, Release
from stress.arms.releases import check as check_release
from stress.cli import EXIT_FAILED, EXIT_USAGE
from stress.explore.catalogue import LOCKED, PAIRS, Race, race_names, races_named
from stress.explore.listing import render
from stress.explore.runner import Runner

_ARMS = {"stock": "none", "fixed": "all", "proposed": "proposed"}
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_TIMES = 10_000
_MOST_PREEMPTIONS = 20
_MOST_PLAYERS = 8
"""Each needs a core, 250 MB and a database."""

_SHOWN = 12
"""Failing schedules of a search that are shown with what fails; further ones are shown as their string alone."""


class Mistakes(Exception):  # noqa: N818 - it is what is wrong with the arguments
    """All of them, as sentences."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = sentences


@dataclass(frozen=True)
class _Arm:
    release: Release
    fixes: tuple[str, ...]
    label: str


def repro(race: str, airflow: str | None, fixes: str, times: str) -> int:
    """Play a race's twins. The exit code."""
    mistakes: list[str] = []
    twins = races_named(race)
    if not twins:
        mistakes.append(f"there is no race {race!r} to reproduce: there are {', '.join(race_names())}")
    number = _number(times, "--times", 1, _MOST_TIMES, mistakes)
    version = airflow or _release_with(twins)
    arm = _arm(version, fixes, mistakes)
    if mistakes or arm is None:
        return _bad(mistakes)
    occurred = False
    # A race of several causes: those that the release has. With none, all of them are played, to show that.
    wanted = [twin for twin in twins if version in twin.releases or version not in LOCKED] or list(twins)
    for skipped in [twin for twin in twins if twin not in wanted]:
        print(f"{skipped.name}: Airflow {version} hasn't it (it is in {', '.join(skipped.releases)})")
    try:
        for twin in wanted:
            occurred |= _repro_one(twin, arm, number)
    except StressError as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    return int(occurred)


def _release_with(twins: tuple[Race, ...]) -> str:
    """The default release, or the first one that has the race if that one hasn't."""
    having = [release for twin in twins for release in twin.releases]
    return DEFAULT_RELEASE if not having or DEFAULT_RELEASE in having else having[0]


def _repro_one(twin: Race, arm: _Arm, times: int) -> bool:
    runner = Runner(arm.release, arm.fixes, _progress)
    request: dict[str, Any] = {"command": "repro", "twin": twin.name, "times": times}
    if twin.coroutines:
        request = {"mode": "repro", "race": twin.name, "times": times}
    occurred = tried = 0
    for line in runner.ask(request, coroutines=twin.coroutines, budget_s=times * 5.0):
        if line["kind"] == "unknown_operation":
            raise StressError(_unknown(arm.release.version, line))
        if line["kind"] != "schedule":
            continue
        tried += 1
        occurred += not line["ok"]
        if tried == 1:
            print(f"{twin.name}: {twin.summary}\n\n{render(line['steps'])}\n")
            _print_failures(line)
    _check_fixes(runner, twin.race)
    version = arm.release.version
    if version in LOCKED and version not in twin.releases:
        print(f"Airflow {version} hasn't this race: it is in {', '.join(twin.releases)}")
    print(f"{twin.name} on {version}, {arm.label}: {occurred} of {tried}")
    return bool(occurred)


@dataclass(frozen=True)
class Asked:
    """The options of `stress explore` as they were typed."""

    pair: str
    airflow: str | None
    fixes: str
    preemptions: str
    replay: str | None
    budget: str
    times: str
    no_pruning: bool


@dataclass(frozen=True)
class _Exploration:
    """What is to be searched or replayed."""

    pair: str
    arm: _Arm
    bound: int
    replay: str | None
    budget_s: float
    times: int
    pruning: bool

    @property
    def coroutines(self) -> bool:
        return PAIRS[self.pair].coroutines

    @property
    def request(self) -> dict[str, Any]:
        """What the release's process is told."""
        if not self.coroutines:
            return {
                "command": "explore", "pair": self.pair, "preemptions": self.bound, "pruning": self.pruning,
                "budget_s": self.budget_s, "replay": self.replay, "times": self.times,
            }  # fmt: skip
        if self.replay is not None:
            return {"mode": "replay", "pair": self.pair, "schedule": self.replay, "times": self.times}
        return {
            "mode": "explore", "pair": self.pair, "preemptions": self.bound, "budget_s": self.budget_s, "witnesses": 1,
        }  # fmt: skip

    @property
    def players(self) -> int:
        """How many schedules are played at once."""
        return 1 if self.replay is not None else min(len(os.sched_getaffinity(0)), _MOST_PLAYERS)


def explore(asked: Asked) -> int:
    """Search a pair's schedules, or replay one. The exit code."""
    mistakes: list[str] = []
    pair = PAIRS.get(asked.pair)
    if pair is None:
        mistakes.append(f"there is no pair {asked.pair!r}: `stress list pairs` lists them")
    bound = _number(asked.preemptions, "--preemptions", 0, _MOST_PREEMPTIONS, mistakes)
    number = _number(asked.times, "--times", 1, _MOST_TIMES, mistakes)
    if asked.times != "1" and asked.replay is None:
        mistakes.append("--times is for --replay: a search tries each schedule once")
    if asked.no_pruning and (asked.replay is not None or (pair is not None and pair.coroutines)):
        mistakes.append("--no-pruning is for a search of a pair of the database")
    match = _BUDGET.fullmatch(asked.budget)
    if match is None:
        mistakes.append(f"--budget {asked.budget!r} is no time: give 90s, 5m or 1h")
    arm = _arm(asked.airflow or DEFAULT_RELEASE, asked.fixes, mistakes)
    if pair is not None and not pair.coroutines and asked.replay is not None:
        mistakes += _schedule_mistakes(asked.replay)
    if mistakes or arm is None or match is None:
        return _bad(mistakes)
    budget_s = float(match[1]) * _UNIT_S[match[2]]
    try:
        return _explore(
            _Exploration(asked.pair, arm, bound, asked.replay, budget_s, number, pruning=not asked.no_pruning)
        )
    except StressError as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED


def _schedule_mistakes(replay: str) -> list[str]:
    from airflow_stress_explore.explore import BadSchedule, read

    try:
        read(replay)
    except BadSchedule as bad:
        return [f"--replay {bad}"]
    return []


def _explore(this: _Exploration) -> int:
    runner = Runner(this.arm.release, this.arm.fixes, _progress)
    shown = 0
    summary: dict[str, Any] | None = None
    for line in runner.ask(this.request, coroutines=this.coroutines, budget_s=this.budget_s, players=this.players):
        if line["kind"] == "unknown_operation":
            raise StressError(_unknown(this.arm.release.version, line))
        if line["kind"] == "summary":
            summary = line
        elif line["kind"] == "schedule":
            shown += not line["ok"]
            _print_schedule(line, whole=shown <= _SHOWN and (this.replay is None or line["n"] == 1))
    _check_fixes(runner, None)
    assert summary is not None  # a process that ends well has told it
    where = f"{this.pair} on {this.arm.release.version}, {this.arm.label}"
    if this.replay is not None:
        print(f"{where}, schedule {this.replay}: {summary['failed']} of {summary['tried']} fail")
        return int(summary["failed"] > 0)
    return _tell_search(this, where, summary)


def _tell_search(this: _Exploration, where: str, summary: dict[str, Any]) -> int:
    rate = summary["tried"] / summary["seconds"] if summary["seconds"] else 0.0
    print(
        f"{where}: {summary['tried']} schedules tried with at most {this.bound} preemptions, {summary['pruned']} "
        f"beginnings left out as equivalent, {summary['failed']} fail; {summary['seconds']:.1f} s, {rate:.0f} a second"
    )
    if summary.get("surprises"):
        print(
            f"{summary['surprises']} steps came to something else than the same steps before: this pair depends on "
            "more than its statements say, so schedules may have been left out"
        )
    if summary["failed"]:
        arm = f"--airflow {this.arm.release.version} --fixes {this.arm.label}"
        print(f"again: stress explore {this.pair} {arm} --replay SCHEDULE")
        return 1
    if not summary["exhausted"]:
        print(f"The budget of {this.budget_s:.0f} s ended before all were tried.")
        return 2
    return 0


def _print_schedule(line: dict[str, Any], *, whole: bool) -> None:
    if line["steps"] and whole:
        print(render(line["steps"]) + "\n")
    if line["ok"]:
        return
    when = f" after {line['seconds']:.1f} s" if "seconds" in line else ""
    if whole:
        print(f"schedule {line['schedule']} fails (number {line['n']}{when})")
        _print_failures(line)
    else:
        print(f"schedule {line['schedule']} fails: {', '.join(f['invariant'] for f in line['failures'])}")


def _arm(version: str, fixes: str, mistakes: list[str]) -> _Arm | None:
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
    return _Arm(release, names, fixes)


def _number(text: str, option: str, least: int, most: int, mistakes: list[str]) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        mistakes.append(f"{option} {text!r} must be a whole number from {least} to {most}")
        return least
    return int(text)


def _bad(mistakes: list[str]) -> int:
    for sentence in mistakes:
        print(f"stress: {sentence}", file=sys.stderr)
    return EXIT_USAGE


def _unknown(version: str, line: dict[str, Any]) -> str:
    return f"Airflow {version} is not what the operation {line['operation']} knows: {line['why']}"


def _check_fixes(runner: Runner, race: str | None) -> None:
    """A fix that was asked for and did not load makes every number a lie."""
    for name in runner.fixes:
        status = runner.statuses.get(name, "silent")
        concerned = race is None or fix_race(name) == race
        if status in ("refused", "error") or (
            concerned and race is not None and status not in ("loaded", "not_needed")
        ):
            raise StressError(f"fix {name} was asked for and did not load in the process ({status}): no result")


def fix_race(name: str) -> str:
    """The race that a fix is for."""
    return next(fact.race for fact in fix_catalogue.facts() if fact.name == name)


def _print_failures(line: dict[str, Any]) -> None:
    for failure in line["failures"]:
        print(f"  {failure['invariant']}: {failure['detail']}")


def _progress(text: str) -> None:
    print(f"stress: {text}", file=sys.stderr, flush=True)
