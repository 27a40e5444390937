"""Random programs of two actors, searched with pruning and without it; run by a release's Python.

    python random_programs.py MODE SEED PROGRAMS
    python random_programs.py MODE STATEMENTS

MODE is `rows` for stops between the rows of a statement, or `statements`. STATEMENTS is JSON: a list of programs, each
a list of two lists of statements. Prints a JSON object a program: its statements, the outcomes of both searches, and
each kind of schedule that came to more than one outcome. An outcome is what every statement returned and what the
tables contain in the end. Which transaction a deadlock ends is the server's choice, so all schedules with a deadlock
count as one outcome.
"""

# ruff: noqa: S608 - the statements are made of our own numbers
from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from airflow_stress_explore.engine import Engine, listen
from airflow_stress_explore.explore import Record, Search
from airflow_stress_explore.foresight import Trace
from airflow_stress_explore.policies import Path
from airflow_stress_explore.reset import Database
from airflow_stress_explore.rows import RowStops

TABLES = ("child", "parent")
BOUND = 2
BUDGET_S = 120.0
SETUP = """
CREATE TABLE parent (id int PRIMARY KEY, v bigint);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE, v bigint);
INSERT INTO parent VALUES (2, 0), (3, 0), (1, 0);
INSERT INTO child VALUES (5, 1, 0), (4, 2, 0);
CREATE FUNCTION note(n int) RETURNS int LANGUAGE sql AS 'UPDATE parent SET v = v * 10 + n WHERE id = 1 RETURNING id';
"""
NAMES = ("A", "B")


def program(draw: random.Random, actor: int) -> list[str]:
    """Some statements; the numbers in them tell who wrote a value, and in which order."""
    statements = []
    for number in range(draw.randint(3, 5)):
        mark = 1 + 4 * actor + number
        row = draw.randint(1, 3)
        order = draw.choice(("id", "id DESC"))
        mode = draw.choice(("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE", "UPDATE SKIP LOCKED"))
        statements.append(
            draw.choice(
                (
                    "SELECT id, v FROM parent ORDER BY id",
                    "SELECT id, parent_id, v FROM child ORDER BY id",
                    f"SELECT id, v FROM parent WHERE id = {row} FOR {mode}",
                    f"SELECT id, v FROM parent ORDER BY {order} FOR {mode}",
                    f"SELECT c.id FROM child c JOIN parent p ON p.id = c.parent_id ORDER BY c.id FOR {mode} OF c",
                    f"UPDATE parent SET v = v * 10 + {mark} WHERE id = {row}",
                    f"UPDATE parent SET v = v * 10 + {mark}",
                    f"UPDATE child SET v = v * 10 + {mark} WHERE parent_id = {row}",
                    f"UPDATE parent SET v = (SELECT count(*) FROM child) * 10 + {mark} WHERE id = {row}",
                    f"INSERT INTO child VALUES ({10 + mark}, {row}, {mark})",
                    f"INSERT INTO child VALUES (9, {row}, {mark}), (8, {row}, {mark}) ON CONFLICT DO NOTHING",
                    f"DELETE FROM child WHERE parent_id = {row}",
                    f"DELETE FROM parent WHERE id = {row}",
                    f"SELECT note({mark})",
                    "SAVEPOINT s",
                    "ROLLBACK TO SAVEPOINT s",
                    "SELECT pg_advisory_xact_lock(7)",
                    "COMMIT",
                    "ROLLBACK",
                )
            )
        )
    if "ROLLBACK TO SAVEPOINT s" in statements:
        statements.insert(0, "SAVEPOINT s")
    return statements


class Play:
    """Plays one program, and keeps what each schedule came to."""

    def __init__(self, programs: Sequence[Sequence[str]], database: Database, alchemy: Any, rows: RowStops | None):
        self._programs = programs
        self._database = database
        self._alchemy = alchemy
        self._rows = rows
        self._path: Sequence[str] = ()
        self._written = set(TABLES)
        self.outcomes: set[str] = set()
        self.kinds: dict[int, set[str]] = {}
        self.played = 0

    def start(self, path: Sequence[str]) -> None:
        self._path = path

    def finish(self) -> Record:
        self._database.restore(self._written, TABLES)
        told: dict[str, list[str]] = {name: [] for name in NAMES}
        work = {name: (name, self._work(p, told[name])) for name, p in zip(NAMES, self._programs, strict=True)}
        engine = Engine(work, self._database, self._database.schema, rows=self._rows)
        policy = Path(self._path)
        engine.run(policy)
        for actor in engine.actors:
            if actor.error is not None:
                raise actor.error
        record = policy.record(engine, None)
        deadlock = any(error.sqlstate == "40P01" for error in engine.errors)
        contents = self._database.contents(TABLES)
        outcome = "deadlock" if deadlock else json.dumps([told, contents], sort_keys=True, default=str)
        self.outcomes.add(outcome)
        self.kinds.setdefault(kind(record), set()).add(outcome)
        self.played += 1
        return record

    def _work(self, statements: Sequence[str], told: list[str]) -> Callable[[], None]:
        def work() -> None:
            with self._alchemy.connect() as connection:
                try:
                    for statement in statements:
                        if statement == "COMMIT":
                            connection.commit()
                        elif statement == "ROLLBACK":
                            connection.rollback()
                        else:
                            result = connection.execute(text(statement))
                            rows = [list(row) for row in result] if result.returns_rows else result.rowcount
                            told.append(f"{statement}: {rows}")
                    connection.commit()
                except DBAPIError as error:
                    told.append(f"error {error.orig.pgcode}")
                    connection.rollback()

        return work


def kind(record: Record) -> int:
    """The same for all schedules that differ in the order of independent steps."""
    trace = Trace()
    for name, before, after in zip(record.choices, record.seen, record.seen[1:], strict=False):
        trace.follow(name, before.standing[name], after.besides)
    return trace.signature("")


def searched(programs: Iterable[Sequence[Sequence[str]]], mode: str) -> Iterator[dict[str, Any]]:
    """Search programs in both ways."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    alchemy = create_engine(url)
    with alchemy.begin() as connection:
        connection.exec_driver_sql(SETUP)
    listen(alchemy)
    database = Database(url.replace("postgresql+psycopg2://", "postgresql://"))
    database.keep()
    rows = RowStops(database, TABLES) if mode == "rows" else None
    for statements in programs:
        result: dict[str, Any] = {"programs": statements}
        for name, pruning in (("pruned", True), ("whole", False)):
            play = Play(statements, database, alchemy, rows)
            search = Search([play], NAMES, BOUND, pruning=pruning)
            tried = list(search.run(BUDGET_S))
            result[name] = {
                "played": play.played,
                "tried": len(tried),
                "exhausted": search.exhausted,
                "outcomes": sorted(play.outcomes),
                "ambiguous": [sorted(found) for found in play.kinds.values() if len(found) > 1],
                "surprises": search.foresight.surprises,
            }
        yield result


def main(mode: str, first: str, number: str = "") -> None:
    """Print what each program comes to."""
    programs: Iterable[Sequence[Sequence[str]]]
    if number:
        draw = random.Random(int(first))  # noqa: S311 - the same programs for the same seed
        programs = [[program(draw, actor) for actor in range(2)] for _ in range(int(number))]
    else:
        programs = json.loads(first)
    for found in searched(programs, mode):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
