"""Our schedule explorer beside frontrun 0.7 (a package of that name), on the same toy programs.

    .venv/bin/python -m benchmarks.beside_frontrun [--budget 30] [--times 3] [PROGRAM...]

The programs are the worked examples of `docs/examples` and two more, into each of which one of the explorers
cannot see (`beside/more_programs.py`). Both explorers play them on one embedded PostgreSQL, in turn, with at most two
preemptions, the default of both. Each is measured twice: until the first failure, and until nothing is left to try or
the budget (seconds) is over. frontrun runs in an environment that is made from a lock with hashes
(`beside/frontrun.txt`) in a temporary directory and removed at the end; no part of the product depends on it.

Prints a Markdown table. Schedules are those that were played, with those that turned out to be equivalent to others.
frontrun runs the programs on SQL over psycopg2, and again over SQLAlchemy with its helper for that; ours needs
SQLAlchemy. No number contains the start of a process or of the server.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine

from stress.arms.uvtool import run_uv
from stress.cluster.supervision.guard import RunGuard
from stress.explore.lab import LabServer
from stress.layout import MOUNTED, ROOT

HERE = Path(__file__).resolve().parent / "beside"
EXAMPLES = ROOT / "docs" / "examples"
sys.path[:0] = [str(MOUNTED), str(EXAMPLES), str(HERE)]

import bank_transfer  # noqa: E402 - importable only from here on
import cancelled_request  # noqa: E402
import skip_locked_queue  # noqa: E402
from more_programs import ROWS_DOWN, ROWS_UP, Cache  # noqa: E402

from airflow_stress_explore import aio, sql  # noqa: E402
from airflow_stress_explore.core import Failure  # noqa: E402

PREEMPTIONS = 2
REPLAYS = 10
OURS = "ours"

PROGRAMS = {
    "bank:read_then_write": "two transfers, a lost update",
    "bank:in_transfer_order": "two transfers, a deadlock",
    "bank:in_id_order": "two transfers, corrected",
    "queue:commit_then_mark": "queue, a job runs twice",
    "queue:mark_then_commit": "queue, corrected",
    "cancelled:TrustingConnection": "cancelled request, a wrong answer",
    "cancelled:CheckingConnection": "cancelled request, corrected",
    "timed_out:TrustingConnection": "timed-out request, a wrong answer",
    "timed_out:CheckingConnection": "timed-out request, corrected",
    "rows": "two statements, a deadlock between their rows",
    "cache": "two threads, a lost increment in memory",
}


@dataclass(frozen=True)
class Measured:
    """One exploration."""

    schedules: int
    seconds: float
    found: str
    """What the failures are; empty if there is none."""

    cpu_s: float
    """Of the explorer's process, without the server's: it depends less on what else the machine does."""

    finished: bool
    """Nothing within the bound was left to try."""

    reproduced: str = ""
    """Replays of the first failure that fail, of how many."""


# -- ours ----------------------------------------------------------------------------------------------------------


def testbed_of(program: str, engine: Engine) -> sql.Testbed:
    """A program on SQL (or on nothing) for our explorer."""
    name, _, version = program.partition(":")
    if name == "bank":
        return bank_transfer.testbed(engine, bank_transfer.VERSIONS[version])
    if name == "queue":
        return skip_locked_queue.testbed(engine, skip_locked_queue.VERSIONS[version])
    if name == "rows":

        def locking(clause: Any) -> Callable[[], None]:
            def work() -> None:
                with engine.connect() as connection:
                    connection.execute(clause)
                    connection.commit()

            return work

        actors = [sql.Actor("lock upwards", locking(ROWS_UP)), sql.Actor("lock downwards", locking(ROWS_DOWN))]
        return sql.Testbed(engine, actors, row_steps=True)
    cache = Cache()

    def both_count(_played: sql.Execution) -> Iterator[Failure]:
        if cache.hits % 2:
            yield Failure("hits", "one of two increments is lost")

    def hit() -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")  # an actor of ours needs a statement
        cache.hit()

    return sql.Testbed(engine, [sql.Actor("hit", hit), sql.Actor("hit", hit)], invariants=[both_count])


def our_sql(program: str, url: str, budget_s: float, *, first: bool) -> Measured:
    """Explore a program on SQL."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:", 1))
    name = program.partition(":")[0]
    with engine.begin() as connection:
        connection.exec_driver_sql((skip_locked_queue if name == "queue" else bank_transfer).TABLES)
    began, cpu_began = time.monotonic(), time.process_time()
    testbed = testbed_of(program, engine)
    search = testbed.search(PREEMPTIONS)
    found: set[str] = set()
    schedule = ""
    for tried in search.run(budget_s):
        found |= {failure.invariant for failure in tried.failures}
        if tried.failures and not schedule:
            schedule = tried.schedule
            if first:
                break
    seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
    again = sum(bool(testbed.replay(schedule).failures) for _ in range(REPLAYS)) if schedule else 0
    testbed.close()
    engine.dispose()
    reproduced = f"{again}/{REPLAYS}" if schedule else ""
    return Measured(search.played, seconds, _text(found), cpu_s, search.exhausted, reproduced)


def our_aio(program: str, budget_s: float, *, first: bool) -> Measured:
    """Explore an asyncio program."""
    name, _, version = program.partition(":")
    connect, timeout = cancelled_request.VERSIONS[version], name == "timed_out"

    def run(scheduler: aio.ReplayByPosition) -> Sequence[Failure]:
        return cancelled_request.TwoClients(scheduler, connect, timeout=timeout).run()

    began, cpu_began = time.monotonic(), time.process_time()
    search = aio.search(run, PREEMPTIONS, budget_s)
    found: set[str] = set()
    schedule = ""
    for one in search:
        found |= {failure.invariant for failure in one.failures}
        schedule = schedule or one.schedule
        if first:
            break
    seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
    again = sum(bool(run(aio.ReplayByPosition.of(schedule))) for _ in range(REPLAYS)) if schedule else 0
    reproduced = f"{again}/{REPLAYS}" if schedule else ""
    progress = search.progress
    return Measured(progress.tried, seconds, _text(found), cpu_s, progress.exhausted, reproduced)


def _text(invariants: set[str]) -> str:
    return ", ".join(sorted(invariants)).replace("_", " ")


# -- frontrun ------------------------------------------------------------------------------------------------------


def environment(directory: Path) -> Path:
    """An environment with frontrun; gives the directory of its programs."""
    run_uv(["venv", "--quiet", "--python", sys.executable, str(directory)], timeout_s=60)
    python = directory / "bin" / "python"
    lock = str(HERE / "frontrun.txt")
    run_uv(["pip", "sync", "--quiet", "--python", str(python), "--require-hashes", lock], timeout_s=300)
    libraries = next((directory / "lib").glob("python3*/site-packages"))
    shutil.copy(HERE / "library" / "psycopg2_connection.py", libraries)
    return python.parent


def frontrun(programs: Path, program: str, url: str, budget_s: float, driver: str, *, first: bool) -> Measured:
    """Explore a program with frontrun."""
    options = {
        "driver": driver,
        "stop_on_first": first,
        "total_timeout": budget_s,
        "reproduce_on_failure": REPLAYS if first else 0,
    }
    done = subprocess.run(
        [
            *(str(programs / "frontrun"), "python", str(HERE / "frontrun_programs.py")),
            *(program, json.dumps(options), url),
        ],
        env={
            "PATH": f"{programs}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{MOUNTED}:{EXAMPLES}",
        },
        capture_output=True,
        text=True,
        timeout=budget_s * 4 + 60,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"frontrun ended with {done.returncode} on {program}: {done.stderr[-3000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    found = ""
    if said["holds"] is False:
        found = "deadlock" if said["explanation"].startswith("Deadlock") else "wrong rows or answer"
        if said.get("raised"):
            found = said["explanation"].partition("\n")[0]
    if said["holds"] is None:
        found = "inconclusive: " + re.sub(r" \d+\b", "", said["inconclusive"].partition(". ")[0])
    reproduced = said.get("reproduced", [0, 0])
    return Measured(
        said["explored"],
        said["explored_s"],
        found,
        said["cpu_s"],
        said["holds"] is not None and said["seconds"] < budget_s,
        f"{reproduced[0]}/{reproduced[1]}" if reproduced[1] else "",
    )


# -- the table -----------------------------------------------------------------------------------------------------


def row(program: str, explorer: str, firsts: Sequence[Measured], wholes: Sequence[Measured]) -> str:
    """One explorer on one program."""
    found = " / ".join(sorted({one.found for one in wholes} | {one.found for one in firsts} - {""})) or "nothing"
    failed = [one for one in firsts if one.reproduced]
    first = f"{_range([one.schedules for one in failed])} | {_seconds(failed)}" if failed else "- | -"
    replays = ", ".join(sorted({one.reproduced for one in failed})) or "-"
    rate = statistics.median(one.schedules / one.seconds for one in wholes)
    of_cpu = statistics.median(one.schedules / one.cpu_s for one in wholes)
    rest = "" if all(one.finished for one in wholes) else " (not all)"
    whole = f"{_range([one.schedules for one in wholes])}{rest} | {_seconds(wholes)} | {rate:,.0f} | {of_cpu:,.0f}"
    return f"| {PROGRAMS[program]} | {explorer} | {found} | {first} | {replays} | {whole} |"


def _range(numbers: Sequence[int]) -> str:
    return f"{min(numbers):,}" if min(numbers) == max(numbers) else f"{min(numbers):,} to {max(numbers):,}"


def _seconds(measured: Sequence[Measured]) -> str:
    return f"{statistics.median(one.seconds for one in measured):.3g}"


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Our schedule explorer beside frontrun, on the same toy programs.")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"some of {', '.join(PROGRAMS)}; default: all")
    parser.add_argument("--budget", type=float, default=30.0, metavar="S", help="seconds an exploration may take")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="explorations each; medians are printed")
    options = parser.parse_args(arguments)
    print(
        f"load average when it began: {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores", file=sys.stderr
    )
    print(
        "| program | explorer | finds | schedules to the first failure | s | replays that fail "
        "| all schedules | s | a second | a CPU second |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    guard = RunGuard()
    server = LabServer(guard.directory / "postgres", guard.label)
    try:
        server.start()
        server.create_database("toys")
        url = server.dsn("toys", "beside")
        with tempfile.TemporaryDirectory() as directory:
            programs = environment(Path(directory) / "frontrun")
            for program in options.programs or PROGRAMS:
                for line in lines(programs, program, url, options.budget, options.times):
                    print(line, flush=True)
    finally:
        server.stop()
        guard.close()


def lines(programs: Path, program: str, url: str, budget_s: float, times: int) -> Iterator[str]:
    """The rows of one program."""
    name = program.partition(":")[0]
    explorers: dict[str, Callable[..., Measured]] = {}
    if name in ("cancelled", "timed_out"):
        explorers[OURS] = lambda first: our_aio(program, budget_s, first=first)
        explorers["frontrun"] = lambda first: frontrun(programs, program, url, budget_s, "", first=first)
    else:
        explorers[OURS] = lambda first: our_sql(program, url, budget_s, first=first)
        for driver in ("psycopg2", "SQLAlchemy") if name != "cache" else ("",):
            explorers[f"frontrun {driver}".strip()] = lambda first, driver=driver: frontrun(
                programs, program, url, budget_s, driver, first=first
            )
    measured: dict[str, tuple[list[Measured], list[Measured]]] = {explorer: ([], []) for explorer in explorers}
    for _ in range(times):
        for explorer, explore in explorers.items():
            measured[explorer][0].append(explore(first=True))
            measured[explorer][1].append(explore(first=False))
    for explorer, (firsts, wholes) in measured.items():
        yield row(program, explorer, firsts, wholes)


if __name__ == "__main__":
    main(sys.argv[1:])
