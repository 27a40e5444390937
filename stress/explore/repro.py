"""`stress repro`: play the reproducers of races, and show how each of them happens.

Exit codes: 1 a race occurred at all, 0 none ever did; 64 bad arguments, all named at once; 3 the machine, or a fix that
did not load, or a release whose code a reproducer does not know (the others are played all the same).
"""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stress.arms.releases import DEFAULT_RELEASE
from stress.cache import write_atomically
from stress.errors import StressError
from stress.exits import EXIT_FAILED
from stress.explore import exported, options, page
from stress.explore.catalogue import LOCKED, RACES, Engine, Race, race_names, races_named
from stress.explore.options import Arm, Mistakes
from stress.explore.runner import Runner
from stress.explore.table import table

ALL = "all"
MOST_TIMES = 10_000
EACH_S = 5.0
"""How long one play may take, at most."""


@dataclass(frozen=True)
class Files:
    """Files that are written besides, if they are asked for: the page of how the races happen, and the test."""

    html: str | None = None
    pytest: str | None = None

    def mistakes(self) -> list[str]:
        """What is wrong with the paths, a sentence each."""
        given = {"--html": self.html, "--pytest": self.pytest}
        return [
            f"{option} {path} must be a file in a directory that exists"
            for option, path in given.items()
            if path is not None and (not Path(path).absolute().parent.is_dir() or Path(path).is_dir())
        ]


def repro(
    names: Sequence[str],
    airflow: str | None,
    fixes: str,
    times: str,
    files: Files | None = None,
    *,
    as_json: bool = False,
) -> int:
    """Play the reproducers of some races, and write files of how they happen. The exit code.

    `as_json`: print one JSON object at the end in the place of the listings and counts.
    """
    files = files or Files()
    try:
        reproducers, absent, arm, number = _check(names, airflow, fixes, times, files)
    except Mistakes as mistakes:
        return mistakes.tell()
    reporter = _ReproReporter(arm, number, quiet=as_json)
    for skipped in absent:
        reporter.leave_out(skipped, f"not in Airflow {arm.version} (it is in {', '.join(skipped.releases)})")
    command = shlex.join(["stress", "repro", *names, "--airflow", airflow or arm.version, "--fixes", fixes])
    try:
        for engine in Engine:
            chosen = [reproducer for reproducer in reproducers if reproducer.engine is engine]
            if chosen:
                reporter.play(chosen, engine)
        if files.html is not None and reporter.sections:
            _write_page(Path(files.html), reporter, f"{command} --times {number}")
        if files.pytest is not None and reporter.tests:
            path = Path(files.pytest)
            write_atomically(path, exported.render(reporter.tests, arm.version, command, path.name))
            options.progress(f"wrote {path}")
    except (StressError, OSError) as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    if as_json:
        played = {"airflow": arm.version, "fixes": arm.label, "reproducers": reporter.facts}
        document = {**played, "command": f"{command} --times {number}"}
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif len(reproducers) > 1:
        print("\n" + "\n".join(reporter.results))
    for sentence in reporter.unknown:
        print(f"stress: {sentence}", file=sys.stderr)
    return EXIT_FAILED if reporter.unknown else int(reporter.occurred)


def _write_page(path: Path, reporter: _ReproReporter, command: str) -> None:
    arm = reporter.arm
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_atomically(path, page.render(reporter.sections, arm.version, arm.label, command, today))
    options.progress(f"wrote {path}")


def _check(
    names: Sequence[str], airflow: str | None, fixes: str, times: str, files: Files
) -> tuple[list[Race], list[Race], Arm, int]:
    """The reproducers to play, those that the release is known not to have, the arm, and the number of plays."""
    mistakes = files.mistakes()
    groups = []
    for name in names:
        group = tuple(RACES.values()) if name == ALL else races_named(name)
        groups.append(group)
        if not group:
            mistakes.append(f"there is no race {name!r} to reproduce: there are {', '.join((ALL, *race_names()))}")
    number = options.number(times, "--times", 1, MOST_TIMES, mistakes)
    version = airflow or _release_with([reproducer for group in groups for reproducer in group])
    arm = options.arm(version, fixes, mistakes)
    if mistakes or arm is None:
        raise Mistakes(mistakes)
    wanted: dict[str, Race] = {}
    absent: dict[str, Race] = {}
    for group in groups:
        # A race of several causes: those that the release has. With none, all of them are played, to show that.
        having = [
            reproducer for reproducer in group if version in reproducer.releases or version not in LOCKED
        ] or group
        wanted.update((reproducer.name, reproducer) for reproducer in having)
        absent.update((reproducer.name, reproducer) for reproducer in group if reproducer not in having)
    return list(wanted.values()), [each for name, each in absent.items() if name not in wanted], arm, number


def _release_with(reproducers: Sequence[Race]) -> str:
    """The default release, or the first one that has a race if that one has none."""
    having = [release for reproducer in reproducers for release in reproducer.releases]
    return DEFAULT_RELEASE if not having or DEFAULT_RELEASE in having else having[0]


@dataclass
class _ReproReporter:
    """Plays reproducers, prints what happens, and counts."""

    arm: Arm
    times: int
    quiet: bool
    """Whether the facts are printed by the caller, and nothing here."""

    occurred: bool = False
    facts: list[dict[str, Any]] = field(default_factory=list)
    """One JSON object a reproducer."""

    results: list[str] = field(default_factory=list)
    sections: list[page.Section] = field(default_factory=list)
    tests: list[exported.Exported] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def leave_out(self, reproducer: Race, reason: str) -> None:
        """A reproducer that is not played."""
        self._say(f"{reproducer.name}: {reason}")
        self._keep(reproducer, reason=reason)

    def play(self, reproducers: Sequence[Race], engine: Engine) -> None:
        """In one process. Raises StressError."""
        runner = Runner(self.arm.release, self.arm.fixes, options.progress, self.arm.overlay)
        budget_s = self.times * EACH_S * len(reproducers)
        lines = runner.ask(request_of(reproducers, self.times), engine, budget_s=budget_s)
        for plays, reproducer in zip(by_reproducer(lines), reproducers, strict=False):
            if plays[-1]["kind"] == "unknown_operation":
                self.unknown.append(options.unknown_operation(self.arm.version, plays[-1]))
                self._keep(reproducer, reason=self.unknown[-1])
                continue
            options.check_fixes(runner.fixes, runner.statuses, reproducer.race)
            self._report(reproducer, [line for line in plays if line["kind"] == "schedule"])

    def _report(self, reproducer: Race, plays: Sequence[Mapping[str, Any]]) -> None:
        self._say(f"{reproducer.name}: {reproducer.summary}\n\n{table(plays[0])}\n")
        for failure in plays[0]["failures"]:
            self._say(f"  {failure['invariant']}: {failure['detail']}")
        version = self.arm.version
        if version in LOCKED and version not in reproducer.releases:
            self._say(f"Airflow {version} does not have this race: it is in {', '.join(reproducer.releases)}")
        occurred = sum(not line["ok"] for line in plays)
        self.occurred |= occurred > 0
        result = f"{reproducer.name} on {version}, {self.arm.label}: {occurred} of {len(plays)}"
        self.results.append(result)
        self.sections.append(page.section(reproducer.name, reproducer.summary, result, plays))
        self.tests.append(exported.exported(reproducer, result, plays))
        self._keep(reproducer, occurred, plays)
        self._say(result)
        missed = [line["missed"] for line in plays if line["missed"] and line["ok"]]
        if missed:
            options.progress(f"the interleaving did not happen in {len(missed)} of {len(plays)} plays: {missed[0]}")

    def _keep(
        self, reproducer: Race, occurred: int = 0, plays: Sequence[Mapping[str, Any]] = (), reason: str = ""
    ) -> None:
        first = plays[0] if plays else {}
        self.facts.append(
            {
                "name": reproducer.name,
                "race": reproducer.race,
                "summary": reproducer.summary,
                "occurred": occurred,
                "plays": len(plays),
                "reason": reason,
                "failures": first.get("failures", []),
                "steps": first.get("steps", []),
            }
        )

    def _say(self, line: str) -> None:
        if not self.quiet:
            print(line, flush=True)


def request_of(reproducers: Sequence[Race], times: int) -> dict[str, Any]:
    """What a release's process is asked."""
    return {"command": "repro", "reproducers": [reproducer.name for reproducer in reproducers], "times": times}


def by_reproducer(lines: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The lines of each reproducer, which a summary ends, or a line that says that it is unknown."""
    gathered = []
    for line in lines:
        gathered.append(line)
        if line["kind"] in ("summary", "unknown_operation"):
            yield gathered
            gathered = []
