"""Marking a run with the fix stores what stock does when nobody is beside it, and keeps a success it has not seen."""

from __future__ import annotations

from typing import Any

import pytest
from dag_data import Run, running_run
from parties import Party
from sqlalchemy import select, update

FIX = "run_marking_row_locks"
STATES = ("running", None, "queued", "success", "deferred")
"""Of the run's tasks, in their order."""


def mark(run: Run, to: str, *, commit: bool = True) -> list[str]:
    """Mark a run as a route does; the tasks that it says it updated."""
    from airflow.api.common import mark_tasks
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        dag = DBDagBag().get_latest_version_of_dag(run.dag_id, session=session)
        function = getattr(mark_tasks, f"set_dag_run_state_to_{to}")
        done = function(dag=dag, run_id=run.run_id, commit=commit, session=session)
        updated = done[0] if isinstance(done, tuple) else done
        return sorted(instance.task_id for instance in updated)


def stored(database: Any, run: Run) -> list[Any]:
    """The run's state, and its tasks'."""
    states = database.query(f"SELECT task_id, state FROM task_instance WHERE dag_id = '{run.dag_id}' ORDER BY task_id")
    return [*database.query(f"SELECT state FROM dag_run WHERE id = {run.id}"), *states]


def run_of(dag_id: str) -> Run:
    """A run whose tasks are in all states."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    run = running_run(dag_id, tasks=len(STATES))
    with create_session(scoped=False) as session:
        for number, state in enumerate(STATES):
            own = (TaskInstance.dag_id == dag_id, TaskInstance.task_id == f"task_{number}")
            session.execute(update(TaskInstance).where(*own).values(state=state))
    return run


@pytest.mark.parametrize("to", ["failed", "success"])
@pytest.mark.parametrize("commit", [True, False])
def test_the_same_tasks_get_the_same_states_as_on_stock(
    database: Any, mounted: Any, release: str, to: str, commit: bool
) -> None:
    stock = run_of("stock")
    told = mark(stock, to, commit=commit)
    with mounted(FIX) as status:
        assert status[FIX] == "loaded"
        fixed = run_of("fixed")
        assert mark(fixed, to, commit=commit) == told
    assert stored(database, fixed) == stored(database, stock)
    if commit:
        # Until 3.2.1 a run that is marked success has only tasks that are, also those that never ran.
        waiting = "success" if to == "success" and release in ("3.1.8", "3.2.1") else "skipped"
        assert stored(database, fixed) == [
            (to,), ("task_0", to), ("task_1", waiting), ("task_2", waiting), ("task_3", "success"), ("task_4", to),
        ]  # fmt: skip


def succeed(run: Run) -> None:
    """As a worker's report: lock the task instance, and store its success."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        own = (TaskInstance.dag_id == run.dag_id, TaskInstance.task_id == "task_0")
        session.execute(select(TaskInstance.id).where(*own).with_for_update(of=TaskInstance)).all()
        session.execute(update(TaskInstance).where(*own).values(state="success"))


@pytest.mark.parametrize("fix", [None, FIX])
def test_a_success_that_it_has_not_seen_is_kept(database: Any, mounted: Any, fix: str | None) -> None:
    """The worker holds its row while somebody marks the run, and then commits."""
    with mounted(*([fix] if fix else [])):
        run = running_run("raced")
        worker = Party("worker", lambda: succeed(run)).stop("after", r"^UPDATE task_instance ").run_to_stop()
        person = Party("person", lambda: mark(run, "failed")).start().wait_blocked(database)
        worker.resume().result()
        told = person.result()
    kept = ("task_0", "success") in stored(database, run)
    assert kept == (fix is not None)
    assert ("task_0" in told) == (fix is None)
