"""The commands that look at stored runs and at the machine."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from stress import colour
from stress.exits import EXIT_FAILED, EXIT_USAGE

if TYPE_CHECKING:
    from stress.results import Results


def analyze(run_dir: str) -> int:
    """Judge a stored history again, print the verdict, and write `results.json` anew. Exit code as of the run."""
    return _again(run_dir, every=False)


def report(run_dir: str) -> int:
    """As `analyze`, and write every report anew."""
    return _again(run_dir, every=True)


def _again(run_dir: str, *, every: bool) -> int:
    from stress.judge.verdicts import exit_code
    from stress.layout import seen_outside
    from stress.report import results_json, terminal
    from stress.report.files import write_all
    from stress.results import RunState
    from stress.run.stored import analyse

    directory = Path(run_dir)
    try:
        kept, results = analyse(directory)
        if every:
            write_all(results, kept.facts(), directory)
        else:
            (directory / "results.json").write_text(results_json.render(results, kept.facts()))
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        print(f"stress: {_why(directory, error)}", file=sys.stderr)
        return EXIT_USAGE if not (directory / "manifest.json").exists() else EXIT_FAILED
    print(f"run {results.run_id}, state {results.state}")
    print(terminal.render(results, colour=colour.wanted(sys.stdout)))
    if every:
        print(f"report: {seen_outside(directory / 'report.html')}")
    if results.state is RunState.FAILED:
        return EXIT_FAILED
    return exit_code(results.races, interrupted=results.state is RunState.INTERRUPTED)


def compare(run_a: str, run_b: str, *, as_json: bool = False) -> int:
    """Print two stored runs side by side: every race and arm of each, with rates. It decides nothing."""
    from stress.run.stored import analyse

    found: list[Results] = []
    for run_dir in (run_a, run_b):
        try:
            found.append(analyse(Path(run_dir))[1])
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            print(f"stress: {_why(Path(run_dir), error)}", file=sys.stderr)
    if len(found) < 2:
        return EXIT_USAGE
    notes = [
        f"the arms differ: {left.name} {left.airflow} and {right.name} {right.airflow}, or their fixes"
        for left, right in zip(found[0].arms, found[1].arms, strict=False)
        if (left.airflow, left.fixes) != (right.airflow, right.fixes)
    ]
    if as_json:
        print(_compared(found, notes))
    else:
        print("\n".join([_side_by_side(found), *(f"note: {note}" for note in notes)]))
    return 0


def _compared(found: Sequence[Results], notes: Sequence[str]) -> str:
    """Both runs in the form of their `results.json`, without the blocks and what belongs to one run alone."""
    from stress.report import results_json

    kept = ("run_id", "state", "verdict", "arms", "races", "harm", "costs", "throughput")
    documents = [results_json.document(results) for results in found]
    runs = [{key: document[key] for key in kept} for document in documents]
    return json.dumps({"runs": runs, "notes": list(notes)}, indent=2, ensure_ascii=False, allow_nan=False)


def _side_by_side(found: Sequence[Results]) -> str:
    from stress.report import text

    arms = tuple(dict.fromkeys(arm.name for results in found for arm in results.arms))
    rows = [["race", "arm", *(results.run_id for results in found)]]
    for race in dict.fromkeys(race for results in found for race in results.races):
        rows.append([text.race_title(race), "", *(_state(results, race) for results in found)])
        rows.extend(["", arm, *(_count(results, race, arm) for results in found)] for arm in arms)
    for arm in arms:
        rates = [results.throughput.get(arm) for results in found]
        rows.append(
            [
                "task instances/s",
                arm,
                *(f"{rate.task_instances_per_s:.1f}" if rate is not None else "-" for rate in rates),
            ]
        )
    measures = dict.fromkeys(cost.measure for results in found for cost in results.costs)
    rows += [[f"{measure}, change", "", *(_cost(results, measure) for results in found)] for measure in measures]
    return _table(rows)


def _cost(results: Results, measure: str) -> str:
    """`+31.2 % (+9.4 to +57.1 %)`: the arm under test of a run against its control."""
    from stress.report import costs

    cost = next((cost for cost in results.costs if cost.measure == measure), None)
    if cost is None:
        return "-"
    return costs.change(cost) if cost.change is None else f"{costs.change(cost)} ({costs.interval(cost)})"


@dataclass(frozen=True)
class _Listing:
    """A table with its header. `facts` are its JSON form, if that is not one object a row."""

    rows: list[list[str]]
    notes: tuple[str, ...] = ()
    facts: list[dict[str, Any]] | None = None

    def json(self) -> str:
        """The JSON array."""
        header, *rows = self.rows
        facts = self.facts if self.facts is not None else [dict(zip(header, row, strict=True)) for row in rows]
        return json.dumps(facts, indent=2)


def list_things(what: str, *, as_json: bool = False) -> int:
    """`scenarios`, `fixes`, `releases`, `races`, `faults`, `pairs` or `reproducers`, as a table or as a JSON array."""
    if what not in LISTS:
        print(f"stress: {what!r} is not a list: choose from {', '.join(LISTS)}", file=sys.stderr)
        return EXIT_USAGE
    listing = LISTS[what]()
    print(listing.json() if as_json else "\n".join([_table(listing.rows), *listing.notes]))
    return 0


def _scenarios() -> _Listing:
    from stress.races.registry import SCENARIOS, races_of

    rows = [[s.name, ", ".join(races_of([s], faults=False)), s.summary] for s in SCENARIOS.values()]
    return _Listing([["scenario", "races", "what it does"], *rows])


def list_fixes(versions: Sequence[str] = (), *, as_json: bool = False) -> int:
    """Print the fixes, with what each does on some releases (default: those with a committed lock)."""
    listing = _fixes(versions)
    print(listing.json() if as_json else _table(listing.rows))
    return 0


def _fixes(versions: Sequence[str] = ()) -> _Listing:
    from stress.arms import fixes
    from stress.arms.releases import known_releases

    named = versions or [release.version for release in known_releases() if release.committed_lock is not None]
    rows = [
        [f.name, f.race, f.issue, *(fixes.fit(f.name, v) for v in named), ", ".join(f.components), f.summary]
        for f in fixes.facts()
    ]
    return _Listing([["fix", "race", "issue", *named, "components", "what it does"], *rows])


def _releases() -> _Listing:
    from stress.arms.releases import DEFAULT_RELEASE, known_releases

    rows = [
        [
            release.version + (" (default)" if release.version == DEFAULT_RELEASE else ""),
            str(release.day),
            "committed lock" if release.committed_lock is not None else "resolved on first use",
        ]
        for release in known_releases()
    ]
    return _Listing([["release", "of", "dependencies"], *rows])


def _races() -> _Listing:
    from stress.races import listing

    return _Listing(listing.table(), facts=listing.facts())


def _faults() -> _Listing:
    from stress.faults import FAULTS

    rows = [[f.name, ", ".join(f.runtimes), f.summary] for f in FAULTS.values()]
    notes = []
    for invariants in dict.fromkeys(f.invariants for f in FAULTS.values()):
        names = ", ".join(f.name for f in FAULTS.values() if f.invariants == invariants)
        notes.append(f"Under {names}: a deadline's callback {invariants.callback}; a task {invariants.task}.")
    return _Listing([["fault", "runtimes", "what it does"], *rows], tuple(notes))


def _pairs() -> _Listing:
    from stress.explore.catalogue import PAIRS

    rows = [[p.name, "coroutines" if p.coroutines else "the database", p.summary] for p in PAIRS.values()]
    return _Listing([["pair", "of", "what races"], *rows])


def _reproducers() -> _Listing:
    from stress.explore.catalogue import LOCKED, RACES

    rows = [[t.name, t.race, *("yes" if v in t.releases else "" for v in LOCKED), t.summary] for t in RACES.values()]
    return _Listing([["reproducer", "race", *LOCKED, "what it does"], *rows])


LISTS: Mapping[str, Callable[[], _Listing]] = MappingProxyType(
    {
        "scenarios": _scenarios,
        "fixes": _fixes,
        "releases": _releases,
        "races": _races,
        "faults": _faults,
        "pairs": _pairs,
        "reproducers": _reproducers,
    }
)


def doctor() -> int:
    """Print what this machine has and lacks. Exit code 3 if a run cannot start."""
    from stress.cluster.compose.engine import engine_fault
    from stress.cluster.postgres import server_version
    from stress.plan import METRICS_PORT, machine_faults

    faults = machine_faults(METRICS_PORT)
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    lines = [
        ("python", sys.version.split()[0], sys.version_info >= (3, 11)),
        ("cpus", str(len(os.sched_getaffinity(0))), True),
        ("disk", f"{free_gib:.1f} GiB free here", free_gib >= 2),
        ("postgresql", server_version(), True),
    ]
    for what, found, fine in lines:
        print(f"{'ok  ' if fine else 'FAIL'} {what}: {found}")
    # Only `--runtime compose` needs it.
    fault = engine_fault()
    print(f"{'ok  ' if fault is None else '-   '} docker: {fault or 'an engine and Compose v2 answer'}")
    for fault in faults:
        print(f"FAIL {fault}")
    fine = not faults and all(line[2] for line in lines)
    print("A run can start." if fine else "A run cannot start. Fix the items marked FAIL.")
    return 0 if fine else EXIT_FAILED


def clean(*, ask: bool) -> int:
    """List, then remove, what crashed runs left behind."""
    from stress.cluster import orphans
    from stress.cluster.compose import orphans as compose
    from stress.cluster.compose.engine import EngineError

    found = orphans.find()
    projects = compose.find()
    if not found and not projects:
        print("Nothing is left behind.")
        return 0
    for line in (*(orphan.describe() for orphan in found), *(project.describe() for project in projects)):
        print(line)
    if ask:
        if not sys.stdin.isatty():
            print("stress: nothing removed: pass --yes where standard input is not a terminal", file=sys.stderr)
            return EXIT_USAGE
        if input("Remove all of this? [y/N] ").strip().lower() not in ("y", "yes"):
            return 0
    survivors = [info for orphan in found for info in orphans.remove(orphan)]
    try:
        for project in projects:
            compose.clean_up(project)
    except EngineError as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    if survivors:
        print(f"stress: processes {[info.pid for info in survivors]} did not end after SIGKILL", file=sys.stderr)
        return EXIT_FAILED
    print("Removed.")
    return 0


def _state(results: Results, race: str) -> str:
    verdict = results.races.get(race)
    return str(verdict.verdict) if verdict is not None else "-"


def _count(results: Results, race: str, arm: str) -> str:
    from stress.report import text

    verdict = results.races.get(race)
    count = verdict.arms.get(arm) if verdict is not None else None
    return f"{text.out_of(count)} ({text.per_hour(count)}/h)" if count is not None else "-"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _why(directory: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{directory} is not the directory of a run: it has no {Path(str(error.filename)).name}"
    if isinstance(error, msgspec.MsgspecError):
        return f"the manifest in {directory} cannot be read: {error}"
    return str(error)
