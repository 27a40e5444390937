"""What the examples share: a database, and a search whose result is printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, create_engine

from airflow_stress_explore.core import render
from airflow_stress_explore.sql import Testbed

PREEMPTIONS = 2
BUDGET_S = 300.0
"""Seconds a search may take. Each needs one or two; a busy machine needs more."""


@dataclass(frozen=True)
class Explored:
    """What a search came to."""

    tried: int
    failing: dict[str, list[str]]
    """Invariants to the schedules that violate them."""

    exhausted: bool
    """All schedules within the bound were tried."""


@contextmanager
def database(tables: str, url: str = "") -> Iterator[Engine]:
    """A PostgreSQL with these tables: the one at `url`, or an embedded server that ends with the block."""
    with _embedded() if not url else _given(url) as address:
        engine = create_engine(address)
        with engine.begin() as connection:
            connection.exec_driver_sql(tables)
        try:
            yield engine
        finally:
            engine.dispose()


@contextmanager
def _given(url: str) -> Iterator[str]:
    yield url


@contextmanager
def _embedded() -> Iterator[str]:
    from stress.cluster.supervision.guard import RunGuard
    from stress.explore.lab import LabServer

    guard = RunGuard()
    server = LabServer(guard.directory / "postgres", guard.label)
    try:
        server.start()
        server.create_database("example")
        yield server.dsn("example", "example").replace("postgresql:", "postgresql+psycopg2:", 1)
    finally:
        server.stop()
        guard.close()


def explore(name: str, testbed: Testbed) -> Explored:
    """Try every schedule, and print the first that fails, step by step."""
    search = testbed.search(PREEMPTIONS)
    failing: dict[str, list[str]] = {}
    for tried in search.run(BUDGET_S):
        for invariant in {failure.invariant for failure in tried.failures}:
            failing.setdefault(invariant, []).append(tried.schedule)
    rest = "all within the bound" if search.exhausted else f"{BUDGET_S:g} s were over"
    failed = len({schedule for schedules in failing.values() for schedule in schedules})
    print(f"\n{name}: {search.tried} schedules tried ({rest}), {failed} failed")
    for invariant, schedules in failing.items():
        played = testbed.replay(schedules[0])
        print(f"\n{invariant} ({len(schedules)} schedules), the first: {schedules[0]}")
        print(render(played.steps))
        print(*(f"{failure.invariant}: {failure.detail}" for failure in played.failures), sep="\n")
    testbed.close()
    return Explored(search.tried, failing, search.exhausted)
