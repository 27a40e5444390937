"""Marking against scheduling: who holds what while it waits for the other."""

from __future__ import annotations

from typing import Any

import pytest
from dag_data import Run, running_run
from parties import Party
from scheduler_parts import runs_to_examine
from sqlalchemy import select, update

FIX = "marking_run_lock"


def mark_and_clear(run: Run) -> None:
    """As when a task is marked: the mark is stored, then the failed task behind it is cleared."""
    from airflow.api.common import mark_tasks
    from airflow.models import taskinstance
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState

    model = taskinstance.TaskInstance
    with create_session(scoped=False) as session:
        dag = DBDagBag().get_latest_version_of_dag(run.dag_id, session=session)
        task = dag.get_task("task_0")
        task.dag = dag
        mark_tasks.set_state(
            tasks=[task], run_id=run.run_id, state=TaskInstanceState.SUCCESS, commit=True, session=session
        )
        behind = session.scalars(select(model).where(model.dag_id == run.dag_id, model.task_id == "task_1")).all()
        taskinstance.clear_task_instances(list(behind), session)


def examine(run: Run) -> None:
    """As a scheduler: lock the running runs, then write their task instances."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        assert [found.id for found in runs_to_examine(session)] == [run.id]
        session.execute(update(TaskInstance).where(TaskInstance.dag_id == run.dag_id).values(queue="examined"))


def deadlock(database: Any, run: Run) -> bool:
    """The scheduler holds the run; somebody marks; the scheduler goes on. Whether they wait for each other."""
    scheduler = Party("scheduler", lambda: examine(run)).stop("before", r"^UPDATE task_instance ").run_to_stop()
    person = Party("person", lambda: mark_and_clear(run)).start().wait_blocked(database)
    scheduler.resume().wait()
    person.wait()
    errors = [party.error for party in (scheduler, person) if party.error is not None]
    assert all("deadlock detected" in str(error) for error in errors), errors
    return bool(errors)


def test_marking_waits_for_a_run_with_nothing_in_its_hands(database: Any, mounted: Any, release: str) -> None:
    # In 3.1 clearing leaves a running run alone.
    assert deadlock(database, running_run("stock")) is not release.startswith("3.1.")
    database.query("UPDATE dag_run SET state = 'success'")
    with mounted("clearing_row_locks") as status:
        assert status["clearing_row_locks"] == "loaded"
        assert deadlock(database, running_run("without"))
    database.query("UPDATE dag_run SET state = 'success'")
    with mounted("clearing_row_locks", FIX) as status:
        assert status[FIX] == "loaded"
        assert not deadlock(database, running_run("fixed"))


@pytest.mark.usefixtures("database")
def test_a_mark_that_is_only_tried_locks_nothing(mounted: Any) -> None:
    from airflow.api.common import mark_tasks
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState

    run = running_run()

    def dry_run() -> list[str]:
        with create_session(scoped=False) as session:
            dag = DBDagBag().get_latest_version_of_dag(run.dag_id, session=session)
            task = dag.get_task("task_0")
            task.dag = dag
            state = TaskInstanceState.SUCCESS
            would = mark_tasks.set_state(tasks=[task], run_id=run.run_id, state=state, commit=False, session=session)
            return [instance.task_id for instance in would]

    with mounted(FIX):
        scheduler = Party("scheduler", lambda: examine(run)).stop("before", r"^UPDATE task_instance ").run_to_stop()
        assert Party("person", dry_run).start().result() == ["task_0"]
        scheduler.resume().result()


def run_between_two_manual_ones(database: Any) -> Run:
    """A scheduled run, and two that a person triggered between two dates of the schedule."""
    run = running_run("raced", schedule="@daily")
    copy = (
        "INSERT INTO dag_run SELECT (jsonb_populate_record(r, jsonb_build_object('id', r.id + %s, 'run_id', %s::text, "
    )
    copy += "'logical_date', %s::text))).* FROM dag_run r WHERE run_id = 'run' RETURNING 1"
    for number, (name, date) in enumerate((("a_later", "2030-01-03 05:00"), ("z_earlier", "2030-01-01 05:00")), 10):
        database.query(copy, number, name, date)
    database.query("UPDATE dag_run SET logical_date = '2030-01-02' WHERE run_id = 'run' RETURNING 1")
    return run


def locked_runs(database: Any) -> list[str]:
    """The runs whose rows are locked."""
    held = "WITH free AS (SELECT run_id FROM dag_run FOR UPDATE SKIP LOCKED) SELECT run_id FROM dag_run "
    held += "WHERE run_id NOT IN (SELECT run_id FROM free) ORDER BY run_id"
    return [row[0] for row in database.query(held)]


OPTIONS = [({"future": True}, ["a_later", "run"]), ({"past": True}, ["run", "z_earlier"]), ({}, ["run"])]


@pytest.mark.parametrize(("options", "locked"), OPTIONS)
def test_manual_runs_that_clearing_will_need_are_locked_in_order(
    database: Any, mounted: Any, options: dict[str, bool], locked: list[str]
) -> None:
    """The clearing behind a mark for all later runs takes those that a person triggered between two dates, too."""
    from airflow.api.common import mark_tasks
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState

    run = run_between_two_manual_ones(database)

    def mark() -> list[str]:
        with create_session(scoped=False) as session:
            dag = DBDagBag().get_latest_version_of_dag(run.dag_id, session=session)
            task = dag.get_task("task_0")
            task.dag = dag
            state = TaskInstanceState.SUCCESS
            mark_tasks.set_state(tasks=[task], run_id="run", state=state, commit=True, session=session, **options)
            return locked_runs(database)

    with mounted(FIX):
        person = Party("person", mark).start()
        assert person.result() == locked
    statement = next(s for s in person.statements if "FOR NO KEY UPDATE OF dag_run" in s)
    assert "ORDER BY dag_run.dag_id, dag_run.run_id" in " ".join(statement.split())


@pytest.mark.parametrize(("options", "locked"), OPTIONS)
def test_a_request_locks_the_runs_of_its_clearing_before_anything_else(
    database: Any, mounted: Any, release: str, options: dict[str, bool], locked: list[str]
) -> None:
    """Since 3.4 a request that marks locks runs itself; on stock those of the schedule's dates only."""
    if not release.startswith("3.4."):
        pytest.skip("before 3.4 requests that mark lock no run")
    from airflow.api_fastapi.core_api.datamodels.task_instances import PatchTaskInstanceBody
    from airflow.api_fastapi.core_api.services.public import task_instances
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session

    run = run_between_two_manual_ones(database)
    body = PatchTaskInstanceBody(new_state="success", **{f"include_{name}": value for name, value in options.items()})

    def request() -> list[str]:
        with create_session(scoped=False) as session:
            dag = DBDagBag().get_latest_version_of_dag(run.dag_id, session=session)
            task_instances._lock_patch_runs(dag, "run", body, session)
            return locked_runs(database)

    assert request() == ["run"]
    with mounted(FIX) as status:
        assert status == {FIX: "loaded"}
        assert request() == locked
