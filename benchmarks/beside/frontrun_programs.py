"""The toy programs under frontrun 0.7, one a process; run by `beside_frontrun.py`, in an environment that has frontrun.

    frontrun python benchmarks/beside/frontrun_programs.py PROGRAM OPTIONS [URL]

OPTIONS is JSON: keyword arguments of `frontrun.explore`, over those that a program needs itself. Prints a JSON object:
what frontrun says, the schedules that it played, and how long that took.

The programs are those of `docs/examples`. Each worker opens its connection itself, as in frontrun's documentation: it
does not see connections that were opened before. The programs on SQL run twice, over psycopg2, which is
faster, and over SQLAlchemy, with frontrun's own helper for it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import sys
from collections.abc import Callable, Mapping
from time import monotonic, process_time  # by name: frontrun replaces the module's functions for its virtual clock
from typing import Any

import bank_transfer
import cancelled_request
import frontrun
import psycopg2
import skip_locked_queue
from frontrun.contrib.sqlalchemy import get_connection, sqlalchemy_dpor
from more_programs import ROWS_DOWN, ROWS_UP, Cache
from psycopg2_connection import Psycopg2Connection
from sqlalchemy import create_engine

Program = Callable[[Any], Any]


class Played:
    """When schedules began, and what they came to."""

    def __init__(self) -> None:
        self.starts_s: list[float] = []
        self.outcomes: dict[str, int] = {}

    def begin(self) -> None:
        """The next schedule begins."""
        self.starts_s.append(monotonic())

    def outcome(self, found: object, *, right: bool) -> bool:
        """Note a final state; gives whether it is right."""
        self.outcomes[str(found)] = self.outcomes.get(str(found), 0) + 1
        return right


def on_sql(
    url: str,
    played: Played,
    tables: str,
    restore: str,
    right: Callable[[list[Any]], bool],
    workers: list[Program],
    driver: str,
    options: Mapping[str, Any],
) -> Any:
    """Two workers on one table. `workers` get a connection."""
    own = psycopg2.connect(url)
    own.autocommit = True
    cursor = own.cursor()
    cursor.execute(tables)
    table = restore.split()[1]

    def setup() -> None:
        played.begin()
        cursor.execute(restore)

    def invariant(_state: object) -> bool:
        cursor.execute(f"SELECT * FROM {table} ORDER BY id")  # noqa: S608 - a table of ours
        rows = cursor.fetchall()
        return played.outcome(rows, right=right(rows))

    if driver == "SQLAlchemy":
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:", 1))
        threads = [lambda _state, work=work: work(get_connection()) for work in workers]
        return sqlalchemy_dpor(engine=engine, setup=setup, threads=threads, invariant=invariant, **options)

    def with_connection(work: Program) -> Program:
        def run(_state: object) -> None:
            connection = Psycopg2Connection(url)
            try:
                work(connection)
            finally:
                connection.close()

        return run

    return frontrun.explore(setup, [with_connection(work) for work in workers], invariant, **options)


def bank(version: str, driver: str, url: str, played: Played, options: Mapping[str, Any]) -> Any:
    """Two transfers in opposite directions."""
    transfer = bank_transfer.VERSIONS[version]
    return on_sql(
        url,
        played,
        bank_transfer.TABLES,
        "UPDATE account SET balance = 100",
        lambda rows: rows == [(1, 110), (2, 90)],
        [lambda c: transfer(c, 1, 2, 10), lambda c: transfer(c, 2, 1, 20)],
        driver,
        options,
    )


def jobs(version: str, driver: str, url: str, played: Played, options: Mapping[str, Any]) -> Any:
    """Two workers on two jobs."""
    claim = skip_locked_queue.VERSIONS[version]
    return on_sql(
        url,
        played,
        skip_locked_queue.TABLES,
        "UPDATE job SET state = 'queued', runs = 0",
        lambda rows: all(row[2] == 1 for row in rows),
        [lambda c: skip_locked_queue.work_off(c, claim)] * 2,
        driver,
        options,
    )


def rows(driver: str, url: str, played: Played, options: Mapping[str, Any]) -> Any:
    """Two statements that lock the same rows in opposite orders."""

    def locking(clause: Any) -> Program:
        def work(connection: Any) -> None:
            connection.execute(clause)
            connection.commit()

        return work

    restore = "UPDATE account SET balance = 100"
    workers = [locking(ROWS_UP), locking(ROWS_DOWN)]
    return on_sql(url, played, bank_transfer.TABLES, restore, lambda _: True, workers, driver, options)


def cache(driver: str, url: str, played: Played, options: Mapping[str, Any]) -> Any:
    """A value in Python that two threads increment without a lock."""
    caches: list[Cache] = []

    def setup() -> Cache:
        played.begin()
        caches.append(Cache())
        return caches[-1]

    del driver, url
    return frontrun.explore(
        setup, [Cache.hit] * 2, lambda one: played.outcome(one.hits, right=one.hits == 2), **options
    )


def request(version: str, played: Played, options: Mapping[str, Any], *, timeout: bool) -> Any:
    """Two clients on one connection, of which the first is cancelled or gives up."""

    class Run:
        """What the workers share."""

        def __init__(self) -> None:
            played.begin()
            self.connection = cancelled_request.VERSIONS[version]()
            self.answers: dict[str, str] = {}
            self.task: Any = None

        def end(self, name: str, answer: str) -> None:
            """The server ends with the last client."""
            self.answers[name] = answer
            if len(self.answers) == 2:
                self.connection.requests.put_nowait((0, ""))

    async def limited(run: Run) -> None:
        if timeout:
            run.end("A", await cancelled_request.ask_with_timeout(run.connection, "A"))
            return
        run.task = asyncio.current_task()
        try:
            run.end("A", await run.connection.ask("A"))
        except asyncio.CancelledError:
            run.end("A", "cancelled")

    async def plain(run: Run) -> None:
        run.end("B", await run.connection.ask("B"))

    async def serve(run: Run) -> None:
        while (asked := await run.connection.requests.get())[0]:
            await run.connection.answers.put(asked)

    async def cancel(run: Run) -> None:
        await asyncio.sleep(0)
        if run.task is not None and "A" not in run.answers:
            run.task.cancel()

    def invariant(run: Run) -> bool:
        return played.outcome(sorted(run.answers.items()), right=run.answers.get("B") == "B")

    workers = [limited, plain, serve, *([] if timeout else [cancel])]
    clock = {"clock": "explored"} if timeout else {}
    return asyncio.run(frontrun.explore(Run, workers, invariant, **clock, **options))


def main(name: str, given: str, url: str = "") -> None:
    """Explore one program."""
    logging.disable(logging.WARNING)  # sqlglot's, about SHOW
    options, played = json.loads(given), Played()
    driver = options.pop("driver", "psycopg2")
    program, _, version = name.partition(":")
    programs: dict[str, Callable[[], Any]] = {
        "bank": functools.partial(bank, version, driver, url, played, options),
        "queue": functools.partial(jobs, version, driver, url, played, options),
        "rows": functools.partial(rows, driver, url, played, options),
        "cache": functools.partial(cache, driver, url, played, options),
        "cancelled": functools.partial(request, version, played, options, timeout=False),
        "timed_out": functools.partial(request, version, played, options, timeout=True),
    }
    began, cpu_began = monotonic(), process_time()
    said: dict[str, Any]
    try:
        result = programs[program]()
    except Exception as error:
        # A worker's own error, such as a deadlock that PostgreSQL ended, is raised as it is.
        said = {"holds": False, "explanation": f"{type(error).__name__}: {error}", "raised": True}
    else:
        said = {
            "holds": result.property_holds,
            "explanation": result.explanation,
            "inconclusive": result.inconclusive_reason,
            "explored": result.num_explored,
            "failing": len(result.failures),
            "reproduced": [result.reproduction_successes, result.reproduction_attempts],
        }
    ended, cpu_s = monotonic(), process_time() - cpu_began
    # What is played after the exploration are the replays of its failure.
    explored = said.get("explored") or len(played.starts_s)
    exploration_ended = [*played.starts_s, ended][explored]
    said |= {"explored": explored, "explored_s": exploration_ended - began, "seconds": ended - began, "cpu_s": cpu_s}
    print(json.dumps({**said, "outcomes": played.outcomes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
