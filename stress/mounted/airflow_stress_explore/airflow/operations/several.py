"""Requests that write several task instances of one run, and runs in which the order of the rows is known.

PostgreSQL locks the rows of a statement in the order of its plan. The runs here have three tasks,
`extract >> transform >> load`, whose rows have different orders:

    by key (task id)              extract, load, transform
    by id                         transform, load, extract
    by place in the table's file  transform, load, extract; with `moved_rows`: load, extract, transform

Each order begins with another row, because two statements that begin with the same row exclude each other. An id is
given when a task instance is created, and anew when it is cleared. Rows move when they are updated: PostgreSQL stores a
new version of the row behind the others, or in the place of a dead version that it has removed. Which versions it may
remove depends on the transactions of all databases at that moment. So no update gives the rows here their places: they
are written to an empty file in their order.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from airflow_stress_explore.airflow.fixtures import NOW, WORKER, create_run, ingredient, write_dag
from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation, supply
from airflow_stress_explore.airflow.operations.rest_api import DATAMODELS, ROUTES, ask

TASKS = ("extract", "transform", "load")
BY_ID = ("transform", "load", "extract")
MOVED = ("load", "extract", "transform")
FAILING = "check"
"""A task that still runs, in a DAG with `fail_fast`; it is the first one by its key."""


@operation("clearing_all", "a user clears all tasks of a run", [("running", "restarting"), ("*", "none")])
def clearing_all(fixture: Fixture, number: int) -> Callable[[], Response]:
    make_body = find(f"{DATAMODELS}.task_instances", "ClearTaskInstancesBody")
    body = supply(make_body, dry_run=False, only_failed=False, dag_run_id=fixture.run_id, task_ids=list(TASKS))
    return ask(find(f"{ROUTES}.task_instances", "post_clear_task_instances"), fixture, body=body)


@operation("marking_all", "a user marks the first task and all behind it successful", [("*", "success")])
def marking_all(fixture: Fixture, number: int) -> Callable[[], Response]:
    make_body = find(f"{DATAMODELS}.task_instances", "PatchTaskInstanceBody")
    body = supply(make_body, new_state="success", include_downstream=True)
    route = find(f"{ROUTES}.task_instances", "patch_task_instance")
    # Without a server a default that is the framework's is an object of the framework's.
    arguments: dict[str, Any] = {"map_index": None, "update_mask": None}
    return ask(route, fixture, dag_run_id=fixture.run_id, task_id=TASKS[0], body=body, **arguments)


@ingredient
def deferred_tasks(fixture: Fixture) -> None:
    """A running run of three tasks that are all deferred, and whose triggers took too long."""
    dag = write_dag(fixture.dag_id, names=TASKS, chained=True)
    _create(fixture, dag, "deferred")


@ingredient
def failed_tasks(fixture: Fixture) -> None:
    """A running run of three tasks that were marked failed when they were deferred: they still have their triggers."""
    dag = write_dag(fixture.dag_id, names=TASKS, chained=True)
    _create(fixture, dag, "failed")


@ingredient
def fail_fast_deferred_tasks(fixture: Fixture) -> None:
    """As `deferred_tasks`, of a DAG that fails as a whole, with a fourth task that runs on a worker."""
    _create(fixture, write_dag(fixture.dag_id, names=(FAILING, *TASKS), fail_fast=True), "deferred")


@ingredient
def fail_fast_failed_tasks(fixture: Fixture) -> None:
    """As `failed_tasks`, of a DAG that fails as a whole, with a fourth task that runs on a worker."""
    _create(fixture, write_dag(fixture.dag_id, names=(FAILING, *TASKS), fail_fast=True), "failed")


@ingredient
def moved_rows(fixture: Fixture) -> None:
    """The rows have other places, as after an update of each: an order that is neither that of keys nor that of ids."""
    place(fixture, MOVED)


def _create(fixture: Fixture, dag: Any, state: str) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    uuid7 = find("uuid6", "uuid7")  # which gives task instances their ids
    hostname, pid = WORKER
    create_run(fixture, dag, "running", hostname=hostname, pid=pid, unixname="worker", try_number=1)
    for task in BY_ID:
        with create_session() as session:
            trigger = Trigger(classpath="airflow_stress_explore.airflow.callbacks.Trigger", kwargs={})
            session.add(trigger)
            session.flush()
            # A new id, as clearing gives one: the ids have the order of this loop.
            values = {
                "id": uuid7(),
                "state": state,
                "trigger_id": trigger.id,
                "trigger_timeout": NOW - datetime.timedelta(minutes=1),
                "next_method": "execute_complete",
                "next_kwargs": {},
                "end_date": NOW if state == "failed" else None,
            }
            instances = update(TaskInstance).where(TaskInstance.dag_id == fixture.dag_id, TaskInstance.task_id == task)
            session.execute(instances.values(**values))
            fixture.triggers.append(trigger.id)
    place(fixture, BY_ID)
    with create_session() as session:
        instances = select(TaskInstance.id).where(TaskInstance.dag_id == fixture.dag_id).order_by(TaskInstance.task_id)
        fixture.instances = list(session.scalars(instances))


class UnexpectedPlaces(RuntimeError):  # noqa: N818 - it says what happened
    """The rows of a starting state do not have the places in the table's file that the state promises."""


_PLACE = (
    "SET session_replication_role = replica",  # foreign keys hold again in the end
    "CREATE TEMPORARY TABLE placed AS SELECT * FROM task_instance",
    "DELETE FROM task_instance",
    "VACUUM FULL task_instance",  # not TRUNCATE, which wants the tables that refer to this one to be truncated, too
    "INSERT INTO task_instance SELECT * FROM placed ORDER BY array_position(:tasks, task_id::text) NULLS FIRST",
    "DROP TABLE placed",
    "SET session_replication_role = origin",
)


def place(fixture: Fixture, tasks: Sequence[str]) -> None:
    """Write the table's file anew, with the rows of these tasks in this order."""
    from airflow import settings
    from sqlalchemy import text

    with settings.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in _PLACE:
            connection.execute(text(statement), {"tasks": list(tasks)} if ":tasks" in statement else {})
    _check_places(fixture, tasks)


def _check_places(fixture: Fixture, expected: Sequence[str]) -> None:
    from airflow.utils.session import create_session
    from sqlalchemy import text

    statement = text("SELECT task_id FROM task_instance WHERE dag_id = :dag_id ORDER BY ctid")
    with create_session() as session:
        found = [task for task in session.scalars(statement, {"dag_id": fixture.dag_id}) if task in expected]
    if found != list(expected):
        raise UnexpectedPlaces(f"the rows lie in the order {', '.join(found)}, not {', '.join(expected)}")
