"""The explorer on a toy schema, without Airflow; run by a release's Python, which has SQLAlchemy and psycopg2.

    python toy_testbed.py

Prints a JSON object for each function of SCENARIOS: its name and what it found.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection, Engine

from airflow_stress_explore.core import Failure, ReplayByName, SerialScheduler, Shrinker, Walks, render
from airflow_stress_explore.core.workers import InProcessWorker
from airflow_stress_explore.sql import Actor, Execution, Testbed, beginning, crash_of, passing
from airflow_stress_explore.sql import executor as executor_module
from airflow_stress_explore.sql.database import Database

SETUP = """
CREATE TABLE account (id int PRIMARY KEY, balance int);
CREATE TABLE job (id serial PRIMARY KEY, taken_by text);
CREATE TABLE note (id serial PRIMARY KEY, job_id int REFERENCES job ON DELETE CASCADE, at timestamptz DEFAULT now());
CREATE TABLE "Odd name" (id int);
CREATE TABLE ticket (id serial PRIMARY KEY);
CREATE TABLE numbered (id int DEFAULT nextval('ticket_id_seq'));
CREATE VIEW rich AS SELECT * FROM account WHERE balance > 100;
CREATE FUNCTION pay() RETURNS int LANGUAGE sql AS 'UPDATE account SET balance = 0 RETURNING 1';
CREATE FUNCTION richest() RETURNS int STABLE LANGUAGE sql AS 'SELECT max(balance) FROM account';
CREATE FUNCTION twice(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * n';
INSERT INTO account VALUES (1, 10), (2, 10);
INSERT INTO job (taken_by) VALUES (NULL), (NULL);
"""

ENGINE: Engine = create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])


def in_transaction(work: Callable[[Connection], str]) -> Callable[[], str]:
    def actor() -> str:
        with ENGINE.begin() as connection:
            return work(connection)

    return actor


def transfer(source: int, target: int) -> Callable[[], str]:
    def work(connection: Connection) -> str:
        connection.execute(text("UPDATE account SET balance = balance - 1 WHERE id = :id"), {"id": source})
        connection.execute(text("UPDATE account SET balance = balance + 1 WHERE id = :id"), {"id": target})
        return "done"

    return in_transaction(work)


def read_and_write(amount: int) -> Callable[[], str]:
    def work(connection: Connection) -> str:
        balance = connection.execute(text("SELECT balance FROM account WHERE id = 1")).scalar_one()
        connection.execute(text("UPDATE account SET balance = :new WHERE id = 1"), {"new": balance + amount})
        return "done"

    return in_transaction(work)


def take_job(name: str) -> Callable[[], str]:
    def work(connection: Connection) -> str:
        found = connection.execute(
            text("SELECT id FROM job WHERE taken_by IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
        ).scalar_one_or_none()
        if found is not None:
            connection.execute(text("UPDATE job SET taken_by = :name WHERE id = :id"), {"name": name, "id": found})
            connection.execute(text("INSERT INTO note (job_id) VALUES (:id)"), {"id": found})
        return "done"

    return in_transaction(work)


def found_by(testbed: Testbed, preemptions: int = 2) -> dict[str, Any]:
    """What a search finds, and what is in the tables when the testbed is closed."""
    search = testbed.search(preemptions)
    tried = list(search.run(60))
    failures = {one.schedule: [vars(failure) for failure in one.failures] for one in tried if one.failures}
    testbed.close()
    return {
        "tried": search.tried,
        "pruned": search.pruned,
        "exhausted": search.exhausted,
        "nondeterministic": search.nondeterministic,
        "failures": failures,
        "left": testbed.database.contents(["account", "job", "note"]),
    }


def deadlock() -> dict[str, Any]:
    testbed = Testbed(ENGINE, [Actor("transfer 1 to 2", transfer(1, 2)), Actor("transfer 2 to 1", transfer(2, 1))])
    played = testbed.replay("A1B")
    again = [vars(failure)["invariant"] for _ in range(5) for failure in testbed.replay("A1B").failures]
    table = render(played.steps)
    rows = [row.as_json() for row in played.steps]
    return {"again": again, "table": table, "steps": rows, "responses": played.responses, **found_by(testbed)}


def ordered() -> dict[str, Any]:
    return found_by(Testbed(ENGINE, [Actor("transfer", transfer(1, 2)), Actor("transfer", transfer(1, 2))]))


def lost_update() -> dict[str, Any]:
    return found_by(Testbed(ENGINE, [Actor("add 1", read_and_write(1)), Actor("add 5", read_and_write(5))]))


def queue() -> dict[str, Any]:
    """With SKIP LOCKED each worker takes another job: as in one of the serial orders."""
    return found_by(Testbed(ENGINE, [Actor("worker", take_job("a")), Actor("worker", take_job("b"))]))


def three_actors() -> dict[str, Any]:
    work = [Actor("transfer", transfer(1, 2)), Actor("transfer", transfer(2, 1)), Actor("add 5", read_and_write(5))]
    return found_by(Testbed(ENGINE, work), preemptions=1)


def error() -> dict[str, Any]:
    def fails(_connection: Connection) -> str:
        raise ValueError("no such account")

    return found_by(Testbed(ENGINE, [Actor("fails", in_transaction(fails)), Actor("transfer", transfer(1, 2))]))


def invariant() -> dict[str, Any]:
    def sum_is_kept(played: Execution) -> list[Failure]:
        total = sum(row["balance"] for row in played.contents("account"))
        jobs = len(played.contents("job"))
        return [] if total == 20 else [Failure("sum", f"{played.responses} leave {total}, {jobs}")]

    actors = [Actor("transfer", transfer(1, 2)), Actor("add 5", read_and_write(5))]
    return found_by(Testbed(ENGINE, actors, invariants=[sum_is_kept]), preemptions=0)


def periodic() -> dict[str, Any]:
    """A sweep that skips a locked job takes it in its next round, if it is part of a loop."""

    def hold(connection: Connection) -> str:
        connection.execute(text("SELECT id FROM job WHERE id = 1 FOR UPDATE"))
        connection.execute(text("SELECT balance FROM account"))
        return "done"

    found = {}
    for name, periodic in (("once", False), ("loop", True)):
        actors = [Actor("sweep", take_job("a"), periodic=periodic), Actor("hold", in_transaction(hold))]
        found[name] = found_by(Testbed(ENGINE, actors))
    return found


def between_rows() -> dict[str, Any]:
    """Two single statements that lock the same rows in opposite orders."""

    def lock(order: str) -> Callable[[], str]:
        statement = text(f"SELECT id FROM account ORDER BY id {order} FOR UPDATE")  # noqa: S608 - ASC or DESC
        return in_transaction(lambda connection: str(len(connection.execute(statement).all())))

    actors = [Actor("up", lock("ASC")), Actor("down", lock("DESC"))]
    return {
        "statements": found_by(Testbed(ENGINE, actors)),
        "rows": found_by(Testbed(ENGINE, actors, row_steps=True)),
    }


def stuck() -> dict[str, Any]:
    """An actor that waits for another one in Python never takes its step."""
    executor_module.WAIT_S = 1.0
    never = threading.Event()

    def waits(connection: Connection) -> str:
        connection.execute(text("SELECT 1"))
        never.wait()
        return "done"

    testbed = Testbed(ENGINE, [Actor("waits", in_transaction(waits)), Actor("transfer", transfer(1, 2))])
    try:
        testbed.play(SerialScheduler("AB"))
    except executor_module.Stuck as error:
        return {"stuck": str(error)}
    finally:
        never.set()
        executor_module.WAIT_S = 20.0
    return {}


def time() -> dict[str, Any]:
    """A lease that is taken over once it has expired: twice at once, if the clock passes its end between two reads."""
    now = [0]

    def reset() -> None:
        now[0] = 0

    def take(name: str) -> Callable[[], str]:
        def work(connection: Connection) -> str:
            if now[0] < 1:  # the lease of both jobs ends at 1
                return "too early"
            free = connection.execute(text("SELECT id FROM job WHERE taken_by IS NULL ORDER BY id LIMIT 1")).scalar()
            connection.execute(text("UPDATE job SET taken_by = :name WHERE id = :id"), {"name": name, "id": free})
            return f"took {free}"

        return beginning(in_transaction(work))

    def one_owner(played: Execution) -> list[Failure]:
        took = [answer for answer in played.responses.values() if answer == "took 1"]
        return [Failure("two_owners", f"{len(took)} took job 1")] if len(took) > 1 else []

    def advance() -> None:
        now[0] = 1

    class Leases(Testbed):
        def restore(self) -> None:
            reset()
            super().restore()

    actors = [Actor("take", take("a")), Actor("take", take("b")), Actor("clock", passing("an hour passes", advance))]
    return found_by(Leases(ENGINE, actors, invariants=[one_owner]))


def crash() -> dict[str, Any]:
    """A transfer of one transaction, and one of two, each in a process that may end between any two statements."""

    def in_two(connection: Connection) -> str:
        connection.execute(text("UPDATE account SET balance = balance - 1 WHERE id = 1"))
        connection.commit()
        connection.execute(text("UPDATE account SET balance = balance + 1 WHERE id = 2"))
        connection.commit()
        return "done"

    def twice() -> str:
        with ENGINE.connect() as connection:
            return in_two(connection)

    ends = Actor("crash", crash_of("A"))
    found = {}
    for name, work in (("one", transfer(1, 2)), ("two", twice)):
        found[name] = found_by(Testbed(ENGINE, [Actor("transfer", work), ends]))
    # B waits for the row that A holds, and gets it when A's process ends.
    actors = [Actor("transfer", transfer(1, 2)), Actor("transfer", transfer(1, 2)), ends]
    testbed = Testbed(ENGINE, actors)
    released = testbed.replay("A1B1C")
    return {**found, "waits": found_by(testbed, preemptions=1), "released": [row.as_json() for row in released.steps]}


def shrunk() -> dict[str, Any]:
    """A schedule with more switches than the failure needs."""
    testbed = Testbed(ENGINE, [Actor("transfer 1 to 2", transfer(1, 2)), Actor("transfer 2 to 1", transfer(2, 1))])
    testbed.play_serially()
    shortest = Shrinker(testbed.play_path, testbed.names).shrink("BAB", "deadlock")
    testbed.close()
    return {"shortest": shortest.as_json() if shortest is not None else None}


def drawn() -> dict[str, Any]:
    """By priorities, with a seed: the same schedules each time, and among them a lost update.

    Two actors, because two that wait for one row race for its new version when the row's holder commits.
    """
    actors = [Actor("transfer", transfer(1, 2)), Actor("add 5", read_and_write(5))]
    found = []
    for _ in range(2):
        testbed = Testbed(ENGINE, actors)
        testbed.play_serially()
        walks = Walks([InProcessWorker(testbed.play_path)], testbed.names, schedules=24, seed=7, depth=2, steps=10)
        tried = list(walks.run(60))
        testbed.close()
        found.append([[one.schedule, [failure.invariant for failure in one.failures]] for one in tried])
    return {"tried": found[0], "again": found[1]}


def diverged() -> dict[str, Any]:
    testbed = Testbed(ENGINE, [Actor("transfer", transfer(1, 2)), Actor("transfer", transfer(2, 1))])
    scheduler = ReplayByName(["C", "A"])
    testbed.play(scheduler)
    testbed.close()
    return {"diverged": scheduler.diverged}


def schema() -> dict[str, Any]:
    """What the server says of the schema."""
    database = Database(ENGINE.url.set(drivername="postgresql").render_as_string(hide_password=False))
    known = database.schema
    words = ("pay", "richest", "twice", "lower", "nextval", "random", "now", "in", "no_such_function")
    return {
        "tables": sorted(name for name in known.tables if name in ("account", "job", "note", "Odd name", "numbered")),
        "opaque": sorted(known.opaque),
        "pure": [word for word in words if word in known.pure],
        "parents": sorted(known.parents.get("note", ())),
    }


SCENARIOS: tuple[Callable[[], dict[str, Any]], ...] = (
    deadlock,
    ordered,
    lost_update,
    queue,
    three_actors,
    error,
    invariant,
    periodic,
    between_rows,
    stuck,
    time,
    crash,
    shrunk,
    drawn,
    diverged,
    schema,
)


def main() -> None:
    """Print what each scenario finds."""
    with ENGINE.begin() as connection:
        # The release's tables are in the way: each testbed would keep them all.
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.exec_driver_sql(SETUP)
    for scenario in SCENARIOS:
        print(json.dumps({"scenario": scenario.__name__, **scenario()}, default=str), flush=True)


if __name__ == "__main__":
    main()
