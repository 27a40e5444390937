"""Random programs of two or three actors, searched with pruning and without it; run by a release's Python.

    python random_programs.py MODE SEED PROGRAMS
    python random_programs.py MODE STATEMENTS

MODE is `statements`, `rows` for stops between the rows of a statement, or `three` for three actors. STATEMENTS is JSON:
a list of programs, each a list of one list of statements for each actor. Prints a JSON object a program: its
statements, the outcomes of both searches and of random walks, and each class of schedules that came to more than one
outcome. An outcome is what every statement returned and what the tables contain in the end. Which transaction a
deadlock ends is the server's choice, so all schedules with a deadlock count as one outcome; so do those in which two
actors wait at once, because the server chooses which of them goes on first.
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

from airflow_stress_explore.core import RandomScheduler, ReplayByName, Search
from airflow_stress_explore.core.search import Record, class_of
from airflow_stress_explore.core.workers import InProcessWorker
from airflow_stress_explore.sql import Actor, Testbed
from airflow_stress_explore.sql.actors import DEADLOCK
from airflow_stress_explore.sql.database import Database
from airflow_stress_explore.sql.executor import ScheduleExecutor
from airflow_stress_explore.sql.snapshot import Snapshot

TABLES = ("child", "logged", "parent")
BOUNDS = {"statements": 2, "rows": 2, "three": 1}
LENGTHS = {"statements": (3, 5), "rows": (3, 5), "three": (2, 3)}
WALKS = 10
BUDGET_S = 120.0
SETUP = """
CREATE TABLE parent (id int PRIMARY KEY, v bigint);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE, v bigint);
CREATE TABLE logged (id int PRIMARY KEY, v bigint);
INSERT INTO parent VALUES (2, 0), (3, 0), (1, 0);
INSERT INTO child VALUES (5, 1, 0), (4, 2, 0);
INSERT INTO logged VALUES (1, 0);
CREATE FUNCTION note(n int) RETURNS int LANGUAGE sql AS 'UPDATE parent SET v = v * 10 + n WHERE id = 1 RETURNING id';
CREATE FUNCTION total() RETURNS numeric STABLE LANGUAGE sql AS 'SELECT sum(v) FROM parent';
CREATE PROCEDURE store(n int) LANGUAGE sql AS 'UPDATE parent SET v = v * 10 + n WHERE id = 1';
CREATE VIEW busy AS SELECT id, v FROM parent;
CREATE SEQUENCE tickets;
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN UPDATE parent SET v = v * 10 + NEW.v WHERE id = 1; RETURN NEW; END';
CREATE TRIGGER logs AFTER UPDATE ON logged FOR EACH ROW EXECUTE FUNCTION log();
"""


def program(draw: random.Random, actor: int, lengths: tuple[int, int]) -> list[str]:
    """Some statements; the numbers in them show which actor wrote a value, and in which order."""
    statements = []
    for number in range(draw.randint(*lengths)):
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
                    draw.choice(opaque(mark)),
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


def opaque(mark: int) -> list[str]:
    """Statements that do more than their text says."""
    return [
        f"MERGE INTO parent USING child ON parent.id = child.parent_id WHEN MATCHED THEN UPDATE SET v = {mark}",
        f"CALL store({mark})",
        "SELECT total()",
        "SELECT id, v FROM busy ORDER BY id",
        f"UPDATE logged SET v = {mark}",
        "SELECT nextval('tickets')",
        "TRUNCATE child",
        "LOCK TABLE parent IN ACCESS EXCLUSIVE MODE",
    ]


class Play(Testbed):
    """Plays one program, and keeps what each schedule came to."""

    def __init__(
        self, programs: Sequence[Sequence[str]], alchemy: Any, database: Database, snapshot: Snapshot, *, rows: bool
    ) -> None:
        self._programs = programs
        self._alchemy = alchemy
        self.returned: list[list[str]] = [[] for _ in programs]
        actors = [Actor(f"program {number}", self.work_of(number)) for number in range(len(programs))]
        super().__init__(alchemy, actors, row_steps=rows, database=database, snapshot=snapshot)
        self.outcomes: set[str] = set()
        self.classes: dict[int, set[str]] = {}
        self.played = 0

    def restore(self) -> None:
        """All tables, with the same places of their rows: a statement locks rows in the order of their places."""
        self._written |= set(TABLES) | {"(unknown)"}
        self._snapshot.restore(self._written, TABLES)

    def play_path(self, path: Sequence[str]) -> Record:
        scheduler = ReplayByName(path)
        executor = self.play(scheduler)
        record = executor.record(scheduler.diverged, None)
        outcome = self.outcome_of(executor)
        self.outcomes.add(outcome)
        self.classes.setdefault(class_of(record), set()).add(outcome)
        self.played += 1
        return record

    def outcome_of(self, executor: ScheduleExecutor) -> str:
        for actor in executor.actors:
            if actor.error is not None:
                raise actor.error
        if any(error.sqlstate == DEADLOCK for error in executor.errors):
            return "deadlock"
        if any(len(seen.blocked) > 1 for seen in executor.seen):
            return "two wait at once"
        return json.dumps([self.returned, self.database.contents(TABLES)], sort_keys=True, default=str)

    def work_of(self, number: int) -> Callable[[], None]:
        self.returned[number] = returned = []

        def work() -> None:
            with self._alchemy.connect() as connection:
                try:
                    for statement in self._programs[number]:
                        if statement == "COMMIT":
                            connection.commit()
                        elif statement == "ROLLBACK":
                            connection.rollback()
                        else:
                            result = connection.execute(text(statement))
                            rows = [list(row) for row in result] if result.returns_rows else result.rowcount
                            returned.append(f"{statement}: {rows}")
                    connection.commit()
                except DBAPIError as error:
                    returned.append(f"error {error.orig.pgcode}")
                    connection.rollback()

        return work


def searched(programs: Iterable[Sequence[Sequence[str]]], mode: str) -> Iterator[dict[str, Any]]:
    """Search programs in both ways, and walk through them at random."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    alchemy = create_engine(url)
    with alchemy.begin() as connection:
        connection.exec_driver_sql(SETUP)
    database = Database(url.replace("postgresql+psycopg2://", "postgresql://"))
    snapshot = Snapshot(database)
    for statements in programs:
        result: dict[str, Any] = {"programs": statements}
        testbed = Play(statements, alchemy, database, snapshot, rows=mode == "rows")
        for name, pruning in (("pruned", True), ("whole", False)):
            testbed.outcomes, testbed.classes, testbed.played = set(), {}, 0
            search = Search([InProcessWorker(testbed.play_path)], testbed.names, BOUNDS[mode], pruning=pruning)
            tried = list(search.run(BUDGET_S))
            result[name] = {
                "played": testbed.played,
                "tried": len(tried),
                "exhausted": search.exhausted,
                "outcomes": sorted(testbed.outcomes),
                "ambiguous": [sorted(found) for found in testbed.classes.values() if len(found) > 1],
                "nondeterministic": search.nondeterministic,
            }
        walks = [testbed.outcome_of(testbed.play(RandomScheduler(seed, BOUNDS[mode]))) for seed in range(WALKS)]
        result["walks"] = sorted(set(walks))
        testbed.close()
        yield result


def main(mode: str, first: str, number: str = "") -> None:
    """Print what each program comes to."""
    programs: Iterable[Sequence[Sequence[str]]]
    if number:
        draw = random.Random(int(first))  # noqa: S311 - the same programs for the same seed
        actors = range(3 if mode == "three" else 2)
        programs = [[program(draw, actor, LENGTHS[mode]) for actor in actors] for _ in range(int(number))]
    else:
        programs = json.loads(first)
    for found in searched(programs, mode):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
