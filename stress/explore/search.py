"""`stress explore`: search the schedules of pairs of operations, or replay one schedule.

Exit codes: 1 a schedule fails, 0 all were tried without one, 2 the budget ended first; 64 bad arguments, all reported
at once; 3 the machine, or a fix that did not load, or a release whose code a pair does not know (the other pairs are
searched all the same).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stress.arms.releases import DEFAULT_RELEASE
from stress.errors import StressError
from stress.exits import EXIT_FAILED
from stress.explore import options
from stress.explore.catalogue import PAIRS, Engine, Searchable
from stress.explore.options import Arm, Mistakes
from stress.explore.repro import ALL, MOST_TIMES
from stress.explore.runner import Runner
from stress.explore.table import table

_MOST_PREEMPTIONS = 20
_MOST_WORKERS = 8
"""Each needs a core, 250 MB and a database."""

_SHOWN = 12
"""Failing schedules of a search that are shown with what fails; further ones are shown as their string alone."""


@dataclass(frozen=True)
class ExploreOptions:
    """The options as the user typed them."""

    pairs: Sequence[str]
    airflow: str | None
    fixes: str
    preemptions: str
    replay: str | None
    budget: str
    times: str
    no_pruning: bool


@dataclass(frozen=True)
class _ExplorePlan:
    """What is to be searched or replayed."""

    pairs: Sequence[Searchable]
    arm: Arm
    bound: int
    replay: str | None
    budget_s: float
    """Of each pair."""

    times: int
    pruning: bool

    def request_of(self, pairs: Sequence[Searchable]) -> dict[str, Any]:
        """What the release's process is asked."""
        names = [pair.name for pair in pairs]
        if self.replay is not None:
            return {"command": "replay", "pairs": names, "schedule": self.replay, "times": self.times}
        return {
            "command": "explore", "pairs": names, "preemptions": self.bound, "pruning": self.pruning,
            "budget_s": self.budget_s,
        }  # fmt: skip

    @property
    def workers(self) -> int:
        """How many schedules are played at once."""
        return 1 if self.replay is not None else min(len(os.sched_getaffinity(0)), _MOST_WORKERS)


def explore(asked: ExploreOptions) -> int:
    """Search the schedules of some pairs, or replay one. The exit code."""
    try:
        this = _check(asked)
    except Mistakes as mistakes:
        return mistakes.tell()
    reporter = _ExploreReporter(this)
    try:
        for engine in Engine:
            pairs = [pair for pair in this.pairs if pair.engine is engine]
            if pairs:
                reporter.search(pairs, engine)
    except StressError as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    return reporter.end()


def _check(asked: ExploreOptions) -> _ExplorePlan:
    mistakes: list[str] = []
    pairs: dict[str, Searchable] = {}
    arm = options.arm(asked.airflow or DEFAULT_RELEASE, asked.fixes, mistakes)
    for name in asked.pairs:
        if name == ALL:
            pairs.update((pair.name, pair) for pair in PAIRS.values() if arm is None or pair.is_of(arm.version))
        elif name in PAIRS:
            pairs[name] = PAIRS[name]
        else:
            mistakes.append(
                f"there is no pair {name!r}: `stress list pairs` lists them; `all` are those of the release"
            )
    bound = options.number(asked.preemptions, "--preemptions", 0, _MOST_PREEMPTIONS, mistakes)
    times = options.number(asked.times, "--times", 1, MOST_TIMES, mistakes)
    aio = any(pair.engine is Engine.AIO for pair in pairs.values())
    if asked.replay is not None and len(pairs) > 1:
        mistakes.append("--replay is for one pair")
    elif asked.replay is not None:
        mistakes += _schedule_mistakes(asked.replay)
    if asked.times != "1" and asked.replay is None:
        mistakes.append("--times is for --replay: a search tries each schedule once")
    if asked.no_pruning and (asked.replay is not None or aio):
        mistakes.append("--no-pruning is for a search of pairs of the database")
    budget_s = options.seconds(asked.budget, mistakes)
    if mistakes or arm is None:
        raise Mistakes(mistakes)
    return _ExplorePlan(list(pairs.values()), arm, bound, asked.replay, budget_s, times, pruning=not asked.no_pruning)


def _schedule_mistakes(replay: str) -> list[str]:
    from airflow_stress_explore.core.schedule import BadSchedule, decode

    try:
        decode(replay)
    except BadSchedule as bad:
        return [f"--replay {bad}"]
    return []


@dataclass
class _ExploreReporter:
    """Searches or replays, prints the results, and counts."""

    this: _ExplorePlan
    tried: int = 0
    failing: list[str] = field(default_factory=list)
    """Pairs with a schedule that fails."""

    unfinished: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def search(self, pairs: Sequence[Searchable], engine: Engine) -> None:
        """In one process. Raises StressError."""
        this = self.this
        runner = Runner(this.arm.release, this.arm.fixes, options.progress, this.arm.overlay)
        lines = runner.ask(this.request_of(pairs), engine, budget_s=this.budget_s * len(pairs), workers=this.workers)
        remaining = iter(pairs)
        pair = next(remaining)
        shown = 0
        for line in lines:
            if line["kind"] == "schedule":
                shown += not line["ok"]
                _print_schedule(line, whole=shown <= _SHOWN and (this.replay is None or line["n"] == 1))
            elif line["kind"] in ("summary", "unknown_operation"):
                options.check_fixes(runner.fixes, runner.statuses)
                if line["kind"] == "summary":
                    self._summarise(pair, line)
                else:
                    self.unknown.append(f"{pair.name}: {options.unknown_operation(this.arm.version, line)}")
                shown = 0
                pair = next(remaining, pair)

    def _summarise(self, pair: Searchable, summary: Mapping[str, Any]) -> None:
        this = self.this
        where = f"{pair.name} on {this.arm.version}, {this.arm.label}"
        self.tried += summary["tried"]
        if summary["failed"]:
            self.failing.append(pair.name)
        if this.replay is not None:
            print(f"{where}, schedule {this.replay}: {summary['failed']} of {summary['tried']} fail")
            return
        rate = summary["tried"] / summary["seconds"] if summary["seconds"] else 0.0
        print(
            f"{where}: {summary['tried']} schedules tried with at most {this.bound} preemptions, {summary['pruned']} "
            f"equivalent prefixes pruned, {summary['failed']} fail; {summary['seconds']:.1f} s, {rate:.0f} a "
            "second"
        )
        surprises = summary.get("nondeterministic", ())
        if surprises:
            print(
                f"{len(surprises)} steps came to something else than the same steps before: this pair "
                "depends on more than its statements say, so schedules may have been left out. The first of them:"
            )
            print(f"  {surprises[0]}")
        if summary["failed"]:
            arm = f"--airflow {this.arm.version} --fixes {this.arm.label}"
            print(f"again: stress explore {pair.name} {arm} --replay SCHEDULE")
        if not summary["exhausted"]:
            self.unfinished.append(pair.name)
            if not summary["failed"]:
                print(f"The budget of {this.budget_s:.0f} s ended before all were tried.")
        sys.stdout.flush()

    def end(self) -> int:
        """What all of them came to. The exit code."""
        number = len(self.this.pairs)
        if number > 1:
            print(
                f"\n{number} pairs on {self.this.arm.version}, {self.this.arm.label}: {self.tried} schedules tried; "
                f"{len(self.failing)} pairs with one that fails, {len(self.unfinished)} not finished in their "
                f"{self.this.budget_s:.0f} s, {len(self.unknown)} not known"
            )
            for what, names in (("fails", self.failing), ("not finished", self.unfinished)):
                for name in names:
                    print(f"  {what}: {name}")
        for sentence in self.unknown:
            print(f"stress: {sentence}", file=sys.stderr)
        if self.unknown:
            return EXIT_FAILED
        if self.failing:
            return 1
        return 2 if self.unfinished else 0


def _print_schedule(line: Mapping[str, Any], *, whole: bool) -> None:
    if line["steps"] and whole:
        print(table(line) + "\n")
    if line["ok"]:
        return
    when = f" after {line['seconds']:.1f} s" if "seconds" in line else ""
    if whole:
        print(f"schedule {line['schedule']} fails (number {line['n']}{when})")
        for failure in line["failures"]:
            print(f"  {failure['invariant']}: {failure['detail']}")
    else:
        print(f"schedule {line['schedule']} fails: {', '.join(f['invariant'] for f in line['failures'])}")
