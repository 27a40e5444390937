"""A worked example of the schedule explorer: a queue of jobs in a table, with SELECT ... FOR UPDATE SKIP LOCKED.

    python docs/examples/skip_locked_queue.py [postgresql+psycopg2://...]

    commit_then_mark   Wrong: the commit after the SELECT releases the lock, and the job is marked in the next
                       transaction. Another worker can take the same job between the two.
    mark_then_commit   Correct: the transaction that holds the lock also marks the job.

`docs/explorer.md` explains the output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from examples_support import database, explore
from sqlalchemy import Connection, Engine, text

from airflow_stress_explore.core import Failure
from airflow_stress_explore.sql import Actor, Execution, Testbed

# -- the program ---------------------------------------------------------------------------------------------------

TABLES = """
DROP TABLE IF EXISTS job;
CREATE TABLE job (id int PRIMARY KEY, state text NOT NULL, runs int NOT NULL);
INSERT INTO job VALUES (1, 'queued', 0), (2, 'queued', 0);
"""

NEXT = text("SELECT id FROM job WHERE state = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
MARK = text("UPDATE job SET state = 'running' WHERE id = :id")
DONE = text("UPDATE job SET state = 'done', runs = runs + 1 WHERE id = :id")


def commit_then_mark(connection: Connection) -> int | None:
    """The lock is gone before the job is marked."""
    job: int | None = connection.execute(NEXT).scalar()
    connection.commit()
    if job is not None:
        connection.execute(MARK, {"id": job})
        connection.commit()
    return job


def mark_then_commit(connection: Connection) -> int | None:
    """Correct: the commit that releases the lock also publishes the mark."""
    job: int | None = connection.execute(NEXT).scalar()
    if job is not None:
        connection.execute(MARK, {"id": job})
    connection.commit()
    return job


Claim = Callable[[Connection], int | None]
VERSIONS: dict[str, Claim] = {version.__name__: version for version in (commit_then_mark, mark_then_commit)}


def work_off(connection: Connection, claim: Claim) -> None:
    """Run jobs until none is queued."""
    while (job := claim(connection)) is not None:
        connection.execute(DONE, {"id": job})
        connection.commit()


# -- its exploration -----------------------------------------------------------------------------------------------


def testbed(engine: Engine, claim: Claim) -> Testbed:
    """Two workers on two jobs."""

    def worker() -> None:
        with engine.connect() as connection:
            work_off(connection, claim)

    return Testbed(engine, [Actor("worker", worker), Actor("worker", worker)], invariants=[each_job_runs_once])


def each_job_runs_once(played: Execution) -> Iterator[Failure]:
    """No job runs twice, and none is left."""
    for row in played.contents("job"):
        if row["runs"] != 1:
            yield Failure("runs", f"job {row['id']} ran {row['runs']} times")


def main(arguments: list[str]) -> Any:
    """Explore each version."""
    with database(TABLES, *arguments) as engine:
        for name, claim in VERSIONS.items():
            explore(name, testbed(engine, claim))


if __name__ == "__main__":
    main(sys.argv[1:])
