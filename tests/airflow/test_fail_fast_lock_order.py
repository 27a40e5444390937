"""A failure in a ``fail_fast`` DAG: what it ends, in how many transactions, and what the second one is answered."""

from __future__ import annotations

from typing import Any

import pytest
from dag_data import NOW, Run, running_run, task_instance_ids
from parties import Party
from sqlalchemy import update
from state_updates import UNREADABLE_EVENTS, success

FIX = "fail_fast_lock_order"
ENDS_ANOTHER = r"UPDATE task_instance"
LOCKS_RUN = r"FROM dag_run .*FOR NO KEY UPDATE"


def failure() -> Any:
    """A worker's report of failure."""
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import TITerminalStatePayload

    return TITerminalStatePayload(state="failed", end_date=NOW)


def report(instance: Any, payload: Any) -> int:
    """``PATCH /execution/task-instances/{id}/state``, from the route function to the commit; the status code."""
    from airflow.api_fastapi.execution_api.routes import task_instances
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from fastapi import HTTPException

    try:
        with create_session(scoped=False) as session:
            answer = task_instances.ti_update_state(instance, payload, session=session, dag_bag=DBDagBag())
    except HTTPException as refusal:
        return refusal.status_code
    return int(getattr(answer, "status_code", 204))


def fail_fast_run(database: Any, dag_id: str, tasks: int = 2) -> Run:
    """A running run, whose task instances are running, of a DAG that fails as a whole."""
    from airflow.models.dag import DagModel

    run = running_run(dag_id, tasks)
    if hasattr(DagModel, "fail_fast"):  # since 3.2
        database.query("UPDATE dag SET fail_fast = true WHERE dag_id = %s RETURNING 1", dag_id)
    written = "UPDATE serialized_dag SET data = jsonb_set(data::jsonb, '{dag,fail_fast}', 'true') WHERE dag_id = %s"
    database.query(f"{written} RETURNING 1", dag_id)
    return run


def store(instance: Any, state: str | None) -> None:
    """Give a task instance a state, in another session."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        session.execute(update(TaskInstance).where(TaskInstance.id == instance).values(state=state))


def states(database: Any, run: Run) -> list[str | None]:
    """The committed states, by task."""
    query = "SELECT state FROM task_instance WHERE dag_id = %s ORDER BY task_id"
    return [row[0] for row in database.query(query, run.dag_id)]


def mixed_run(database: Any, dag_id: str) -> tuple[Run, list[Any]]:
    """A run with task instances in all kinds of states; the first two are running."""
    run = fail_fast_run(database, dag_id, tasks=6)
    instances = task_instance_ids(run)
    for instance, state in zip(instances[2:], ("success", "queued", None, "deferred"), strict=True):
        store(instance, state)
    return run, instances


@pytest.mark.parametrize("site", ["update", "error handler"])
def test_the_same_tasks_are_ended(database: Any, mounted: Any, site: str) -> None:
    def end(dag_id: str) -> list[str | None]:
        run, instances = mixed_run(database, dag_id)
        assert report(instances[0], failure() if site == "update" else success(UNREADABLE_EVENTS)) == 204
        return states(database, run)

    expected = ["failed", "failed", "success", "skipped", "skipped", "skipped"]
    assert end("stock") == expected
    with mounted(FIX) as status:
        assert status == {FIX: "loaded"}
        assert end("fixed") == expected


def test_all_of_it_is_one_transaction(database: Any, mounted: Any) -> None:
    def before_its_own_row(dag_id: str) -> list[str | None]:
        run = fail_fast_run(database, dag_id)
        api = Party("api-server", lambda: report(task_instance_ids(run)[0], failure()))
        # Its own row's update is the one that has an end.
        api.stop("before", r"UPDATE task_instance SET end_date").run_to_stop()
        seen = states(database, run)
        assert api.resume().result() == 204
        assert states(database, run) == ["failed", "failed"]
        return seen

    assert before_its_own_row("stock") == ["running", "failed"]
    with mounted(FIX):
        assert before_its_own_row("fixed") == ["running", "running"]


def test_who_comes_second_is_answered_as_one_who_comes_later(database: Any, mounted: Any) -> None:
    run = fail_fast_run(database, "stock")
    assert report(task_instance_ids(run)[0], failure()) == 204
    later = report(task_instance_ids(run)[1], failure())

    with mounted(FIX):
        run = fail_fast_run(database, "fixed")
        first = Party("first", lambda: report(task_instance_ids(run)[0], failure()))
        second = Party("second", lambda: report(task_instance_ids(run)[1], failure()))
        # Both have seen that their task runs; then one after the other gets the locks.
        first.stop("before", LOCKS_RUN).run_to_stop()
        second.stop("before", LOCKS_RUN).run_to_stop()
        assert first.resume().result() == 204
        assert second.resume().result() == later
        assert states(database, run) == ["failed", "failed"]
        logged = "SELECT count(*) FROM log WHERE dag_id = 'fixed' AND event = 'fail task'"
        assert database.query(logged) == [(1,)]


@pytest.mark.parametrize("site", ["update", "error handler"])
def test_what_somebody_made_of_the_task_meanwhile_stays(database: Any, mounted: Any, site: str) -> None:
    with mounted(FIX):
        run = fail_fast_run(database, "fixed")
        own, other = task_instance_ids(run)
        payload = failure() if site == "update" else success(UNREADABLE_EVENTS)
        api = Party("api-server", lambda: report(own, payload)).stop("before", LOCKS_RUN).run_to_stop()
        store(own, "removed")
        assert api.resume().result() == 409
        assert states(database, run) == ["removed", "running"], other


def test_without_fail_fast_nothing_more_is_locked(database: Any, mounted: Any) -> None:
    with mounted(FIX):
        run = running_run("fixed")
        api = Party("api-server", lambda: report(task_instance_ids(run)[0], failure())).start()
        assert api.result() == 204
        assert states(database, run) == ["failed", "running"]
        assert not any("NO KEY UPDATE" in statement for statement in api.statements)
