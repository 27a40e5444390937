"""`stress explore`: search the schedules of pairs of operations, or replay one schedule.

Exit codes: 1 a schedule fails, 0 all were tried without one, 2 the budget ended first, or schedules were drawn and none
of them failed; 64 bad arguments, all reported at once; 3 the machine, or a fix that did not load, or a release whose
code a pair does not know (the other pairs are searched all the same), or a schedule file of other sources.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stress.errors import StressError
from stress.exits import EXIT_FAILED
from stress.explore import options
from stress.explore.catalogue import Engine, Searchable
from stress.explore.options import Mistakes
from stress.explore.plan import Drawing, ExploreOptions, ExplorePlan, check
from stress.explore.runner import Runner
from stress.explore.schedule_file import ScheduleFile
from stress.explore.table import table

_SHOWN = 12
"""Failing schedules of a search that are shown with what fails; further ones are shown as their string alone."""


def explore(asked: ExploreOptions) -> int:
    """Search the schedules of some pairs, or replay one. The exit code."""
    try:
        this = check(asked)
    except Mistakes as mistakes:
        return mistakes.tell()
    reporter = _ExploreReporter(this)
    try:
        for engine in Engine:
            pairs = [pair for pair in this.pairs if pair.engine is engine]
            if pairs:
                reporter.search(pairs, engine)
    except (StressError, OSError) as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    return reporter.end()


@dataclass
class _ExploreReporter:
    """Searches or replays, prints the results, and counts."""

    this: ExplorePlan
    tried: int = 0
    failing: list[str] = field(default_factory=list)
    """Pairs with a schedule that fails."""

    unfinished: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why a file's schedule is not replayed."""

    shortest: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of the pair that is searched: the shortest schedule of each kind of failure."""

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
                if "shortest" in line:
                    self.shortest[line["shortest"]["schedule"]] = line["shortest"]
            elif line["kind"] == "file":
                self._write(line)
            elif line["kind"] == "other_sources":
                self._refuse(line["differ"])
            elif line["kind"] in ("summary", "unknown_operation"):
                options.check_fixes(runner.fixes, runner.statuses)
                if line["kind"] == "summary":
                    self._summarise(pair, line)
                else:
                    self.unknown.append(f"{pair.name}: {options.unknown_operation(this.arm.version, line)}")
                shown = 0
                self.shortest.clear()
                pair = next(remaining, pair)

    def _write(self, line: Mapping[str, Any]) -> None:
        """Write a schedule's file. Raises OSError."""
        this = self.this
        assert this.save is not None
        words = {name: line[name] for name in ("pair", "schedule", "failures", "sources", "steps")}
        file = ScheduleFile(airflow=this.airflow, code=this.arm.version, fixes=this.arm.label, **words)
        options.progress(f"wrote {file.write(this.save)}")

    def _refuse(self, differ: Sequence[str]) -> None:
        file = self.this.file
        assert file is not None
        self.refused.append(
            f"the schedule {file.schedule} is of other sources ({file.code}, {file.fixes}), so it may be another one "
            f"here ({self.this.arm.version}, {self.this.arm.label}); {len(differ)} of {len(file.sources)} functions "
            f"differ:"
        )
        self.refused += [f"  {sentence}" for sentence in differ]

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
        time = f"{summary['seconds']:.1f} s, {rate:.0f} a second"
        if this.drawing is not None:
            print(f"{where}: {drawn(this.drawing, summary)}; {time}")
        else:
            print(
                f"{where}: {summary['tried']} schedules tried with at most {this.bound} preemptions, "
                f"{summary['pruned']} equivalent prefixes pruned, {summary['failed']} fail; {time}"
            )
        if self.shortest:
            print(_shortest(list(self.shortest.values())))
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
        if this.drawing is not None and not summary["failed"]:
            self.unfinished.append(pair.name)
        elif not summary["exhausted"]:
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
        for sentence in self.refused:
            print(f"stress: {sentence}", file=sys.stderr)
        if self.unknown or self.refused:
            return EXIT_FAILED
        if self.failing:
            return 1
        return 2 if self.unfinished else 0


def drawn(drawing: Drawing, summary: Mapping[str, Any]) -> str:
    """How many schedules were drawn, what they came to, and how probable it was to meet a failure."""
    one, steps = summary["log_probability"], summary["steps"]
    what = f"a failure of depth {drawing.depth}" if drawing.scheduler == "pct" else "a schedule that fails"
    text = (
        f"{summary['played']} schedules drawn ({drawing.scheduler}, seed {drawing.seed}), {summary['tried']} of them "
        f"different, {summary['failed']} fail; {what}, if there is one, is met with a probability of at least "
        f"{_power_of_ten(one)} in each, {summary['probability_of_all']:.3g} in all (up to {steps} steps)"
    )
    if summary["longest"] > steps:
        text += f"; the longest had {summary['longest']} steps, so the probability is less"
    return text


def _power_of_ten(log: float) -> str:
    """A probability, from its natural logarithm: 10^-40 is no zero."""
    return f"{math.exp(log):.3g}" if log > -600 else f"10^{log / math.log(10):.0f}"


def _shortest(found: Sequence[Mapping[str, Any]]) -> str:
    plays = sum(each["plays"] for each in found)
    each = ", ".join(f"{it['schedule']} ({it['preemptions']} preemptions, {it['choices']} choices)" for it in found)
    text = f"{len(found)} kinds of failure; the shortest schedule of each: {each}"
    text += f"; {plays} plays to shrink them" if plays else ""
    if not all(it["proved"] for it in found):
        text += "; there may be shorter ones"
    return text


def _print_schedule(line: Mapping[str, Any], *, whole: bool) -> None:
    if line["steps"] and whole:
        print(table(line) + "\n")
    if line["ok"]:
        return
    shortest = line.get("shortest", {}).get("schedule", line["schedule"])
    shorter = f" (shortest: {shortest})" if shortest != line["schedule"] else ""
    when = f" after {line['seconds']:.1f} s" if "seconds" in line else ""
    if whole:
        print(f"schedule {line['schedule']} fails (number {line['n']}{when}){shorter}")
        for failure in line["failures"]:
            print(f"  {failure['invariant']}: {failure['detail']}")
    else:
        print(f"schedule {line['schedule']} fails: {', '.join(f['invariant'] for f in line['failures'])}{shorter}")
