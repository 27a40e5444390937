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


def explore(
    pair: str, airflow: str | None, fixes: str, preemptions: str, replay: str | None, budget: str, times: str
) -> int:
    """Search a pair's schedules, or replay one. The exit code."""
    mistakes: list[str] = []
    if pair not in PAIRS:
        mistakes.append(f"there is no pair {pair!r}: `stress list pairs` lists them")
    bound = _number(preemptions, "--preemptions", 0, _MOST_PREEMPTIONS, mistakes)
    number = _number(times, "--times", 1, _MOST_TIMES, mistakes)
    if times != "1" and replay is None:
        mistakes.append("--times is for --replay: a search tries each schedule once")
    match = _BUDGET.fullmatch(budget)
    if match is None:
        mistakes.append(f"--budget {budget!r} is no time: give 90s, 5m or 1h")
    arm = _arm(airflow or DEFAULT_RELEASE, fixes, mistakes)
    if pair in PAIRS and not PAIRS[pair].coroutines and replay is not None:
        mistakes += _schedule_mistakes(replay)
    if mistakes or arm is None or match is None:
        return _bad(mistakes)
    budget_s = float(match[1]) * _UNIT_S[match[2]]
    try:
        return _explore(pair, arm, bound, replay, budget_s, number)
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


def _explore(pair: str, arm: _Arm, bound: int, replay: str | None, budget_s: float, times: int) -> int:
    coroutines = PAIRS[pair].coroutines
    request: dict[str, Any] = {
        "command": "explore", "pair": pair, "preemptions": bound, "budget_s": budget_s, "replay": replay, "times":
        times,
    }  # fmt: skip
    if coroutines:
        request = {"mode": "explore", "pair": pair, "preemptions": bound, "budget_s": budget_s, "witnesses": 1}
        if replay is not None:
            request = {"mode": "replay", "pair": pair, "schedule": replay, "times": times}
    runner = Runner(arm.release, arm.fixes, _progress)
    shown = 0
    summary: dict[str, Any] | None = None
    players = 1 if replay is not None else min(len(os.sched_getaffinity(0)), _MOST_PLAYERS)
    for line in runner.ask(request, coroutines=coroutines, budget_s=budget_s, players=players):
        if line["kind"] == "unknown_operation":
            raise StressError(_unknown(arm.release.version, line))
        if line["kind"] == "summary":
            summary = line
        elif line["kind"] == "schedule":
            shown += not line["ok"]
            _print_schedule(line, whole=shown <= _SHOWN and (replay is None or line["n"] == 1))
    _check_fixes(runner, None)
    assert summary is not None  # a process that ends well has told it
    where = f"{pair} on {arm.release.version}, {arm.label}"
    if replay is not None:
        print(f"{where}, schedule {replay}: {summary['failed']} of {summary['tried']} fail")
        return int(summary["failed"] > 0)
    rate = summary["tried"] / summary["seconds"] if summary["seconds"] else 0.0
    print(
        f"{where}: {summary['tried']} schedules tried with at most {bound} preemptions, {summary['pruned']} beginnings "
        f"left out as equivalent, {summary['failed']} fail; {summary['seconds']:.1f} s, {rate:.0f} a second"
    )
    if summary.get("surprises"):
        print(
            f"{summary['surprises']} steps came to something else than the same steps before: this pair depends on "
            "more than its statements say, so schedules may have been left out"
        )
    if summary["failed"]:
        print(f"again: stress explore {pair} --airflow {arm.release.version} --fixes {arm.label} --replay SCHEDULE")
        return 1
    if not summary["exhausted"]:
        print(f"The budget of {budget_s:.0f} s ended before all were tried.")
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
