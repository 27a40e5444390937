"""Task instances whose order by key, by id and by place in the table's file are known, and a stop between rows.

PostgreSQL locks the rows of a statement in the order of its plan: without ORDER BY, on tables like these, that of their
places in the file. A row that is updated moves behind the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2
from dag_data import Run, running_run

TASKS = ("task_0", "task_1", "task_2")
BY_KEY = TASKS
REVERSED = TASKS[::-1]

_ID = "00000000-0000-7000-8000-00000000000{}"

_STOP = (
    """
    CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_lock_shared(1);
        PERFORM pg_advisory_unlock_shared(1);
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER stop BEFORE UPDATE ON task_instance FOR EACH ROW
    WHEN (OLD.trigger_id IS NOT NULL AND NEW.trigger_id IS NULL) EXECUTE FUNCTION stop()
    """,
)
"""A statement that takes a trigger from a row waits after it has locked the row, while the gate is closed."""


def rows(database: Any, dag_id: str, state: str, *, by_id: Sequence[str], by_place: Sequence[str]) -> Run:
    """A run with three task instances in one state, each with a trigger that has timed out."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    run = running_run(dag_id, tasks=len(TASKS))
    with create_session() as session:
        triggers = [Trigger(classpath="callbacks.Trigger", kwargs={}) for _ in TASKS]
        session.add_all(triggers)
        session.flush()
        ids = dict(zip(TASKS, [trigger.id for trigger in triggers], strict=True))
    for task in by_place:
        database.query(
            "UPDATE task_instance SET id = %s, state = %s, trigger_id = %s, "
            "trigger_timeout = now() - interval '1 minute' WHERE dag_id = %s AND task_id = %s RETURNING 1",
            _ID.format(by_id.index(task)),
            state,
            ids[task],
            dag_id,
            task,
        )
    for order, expected in (("id", by_id), ("ctid", by_place)):
        found = database.query(f"SELECT task_id FROM task_instance WHERE dag_id = %s ORDER BY {order}", dag_id)
        assert [row[0] for row in found] == list(expected), order
    return run


@contextlib.contextmanager
def gate_closed(database: Any) -> Iterator[None]:
    """In the block, a statement that takes triggers from task instances stops at the first row, which it has locked."""
    for statement in _STOP:
        database.query(statement)
    holder = psycopg2.connect(database.url().replace("+psycopg2", ""))
    try:
        with holder, holder.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(1)")
            yield
    finally:
        holder.close()
        database.query("DROP FUNCTION stop CASCADE")


def clean_up() -> None:
    """What each triggerer does about once a second."""
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor

    TriggerRunnerSupervisor.clean_unused(object.__new__(TriggerRunnerSupervisor))


def sweep() -> None:
    """What each scheduler does every fifteen seconds."""
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    object.__new__(SchedulerJobRunner).check_trigger_timeouts()
