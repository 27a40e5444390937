"""How many schedules a second the explorer plays, and what giving each one the same database state costs.

    .venv/bin/python benchmarks/explore_speed.py [X.Y.Z]

For some pairs on the release with its fixes: the schedules a second of a search, pruned and with every order played
(five seconds of it at most), one at a time and as many at once as there are cores. For the reset: medians of 30 of each
way that brings back five small tables.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable

import psycopg

from stress.arms import fixes
from stress.arms.releases import DEFAULT_RELEASE, check
from stress.cluster.supervision.guard import RunGuard
from stress.explore import lab
from stress.explore.catalogue import Engine
from stress.explore.runner import Runner

PAIRS = (
    "state_update+dag_version_refresh",
    "deadline_check+deadline_check",
    "trigger_assignment+trigger_assignment",
    "run_scheduling+run_scheduling",
    "trigger_assignment+trigger_assignment:task",
)
PREEMPTIONS = 4
"""Enough for searches of a second and more: shorter ones say little of a rate."""

BUDGET_S = 5.0
CORES = len(os.sched_getaffinity(0))
TABLES = ("task_instance", "dag_run", "log", "trigger", "job")
REPEATS = 30


def main(version: str) -> None:
    """Measure and print."""
    release = check(version)
    for pair in PAIRS:
        for workers, pruning in itertools.product((1, CORES), (True, False)):
            runner = Runner(release, fixes.resolve("all", release), print)
            request = {
                "command": "explore", "pairs": [pair], "preemptions": PREEMPTIONS, "pruning": pruning,
                "budget_s": BUDGET_S,
            }  # fmt: skip
            lines = runner.ask(request, Engine.SQL, budget_s=BUDGET_S, workers=workers)
            summary = [line for line in lines if line["kind"] == "summary"][-1]
            print(
                f"{pair}, {workers} at once, {'pruned' if pruning else 'every order'}: {summary['played']} played in "
                f"{summary['seconds']:.2f} s, {summary['played'] / summary['seconds']:.0f} a second; "
                f"{summary['tried']} of a kind of their own, {summary['tried'] / summary['seconds']:.0f} a second; "
                f"{summary['pruned']} equivalent prefixes pruned"
            )
    reset(version)


def reset(version: str) -> None:
    """The ways to bring a state back."""
    guard = RunGuard()
    server = lab.LabServer(guard.directory / "postgres", guard.label, lab.kept_directory(check(version), print))
    try:
        server.start()
        server.create_database("measured", template=lab.DATABASE)

        def copied() -> None:
            server.drop_database("measured")
            server.create_database("measured", template=lab.DATABASE)

        measure("a copy of a template database", copied)
        with psycopg.connect(server.dsn("measured", "speed"), autocommit=True) as connection:
            connection.execute("; ".join(f"CREATE TABLE kept_{t} AS TABLE {t}" for t in TABLES))

            def put_back(clear: str) -> Callable[[], None]:
                steps = [clear, *(f"INSERT INTO {t} SELECT * FROM kept_{t}" for t in TABLES)]  # noqa: S608 - our own names
                text = "; ".join(["SET session_replication_role = replica", *steps])
                return lambda: _run(connection, text)

            measure("TRUNCATE and INSERT", put_back(f"TRUNCATE {', '.join(TABLES)} CASCADE"))
            measure("DELETE and INSERT", put_back("; ".join(f"DELETE FROM {t}" for t in TABLES)))  # noqa: S608
    finally:
        server.stop()
        guard.close()


def _run(connection: psycopg.Connection, text: str) -> None:
    connection.execute(text.encode())


def measure(what: str, way: Callable[[], None]) -> None:
    """The median time of a way."""
    times_ms = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        way()
        times_ms.append((time.perf_counter() - began) * 1000)
    print(f"reset by {what}: {statistics.median(times_ms):.2f} ms (median of {REPEATS})")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_RELEASE)
