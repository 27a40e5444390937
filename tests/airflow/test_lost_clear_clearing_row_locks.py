"""Clearing against whoever changes the run or its task instances meanwhile: what it decides by."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from dag_data import Run, live, running_run, task_instance_ids
from parties import Party
from scheduler_parts import runs_to_examine
from sqlalchemy import select, update
from state_updates import heartbeat

FIX = "clearing_row_locks"
LOCKS_RUNS = r"FROM dag_run .*FOR NO KEY UPDATE"
"""The first statement of clearing with the fix."""


def clear(*runs: Run, change: Callable[[Any], None] | None = None) -> list[tuple[str, str]]:
    """As the route: read the first task instance of each run, then clear them, in one session. What was cleared."""
    from airflow.models import taskinstance
    from airflow.utils.session import create_session

    model = taskinstance.TaskInstance
    with create_session(scoped=False) as session:
        query = select(model).where(model.task_id == "task_0")
        found = [session.scalars(query.where(model.dag_id == run.dag_id)).one() for run in runs]
        if change is not None:
            change(found[0])
        cleared: Any = taskinstance.clear_task_instances(found, session)  # since 3.4 they are other objects
        return [(instance.dag_id, str(instance.id)) for instance in (found if cleared is None else cleared)]


def store(run: Run, state: str = "running", **columns: Any) -> None:
    """Give the run's task instances a state, and other values, in another session."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        session.execute(update(TaskInstance).where(TaskInstance.dag_id == run.dag_id).values(state=state, **columns))


def end_run() -> None:
    """As a scheduler: lock the runs, and end those whose task instances have all ended."""
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session

    bag = DBDagBag()
    with create_session(scoped=False) as session:
        for run in runs_to_examine(session):
            run.dag = bag.get_dag_for_run(run, session=session)
            run.update_state(session=session, execute_callbacks=False)


def run_state(database: Any, run: Run) -> str:
    return str(database.query("SELECT state FROM dag_run WHERE id = %s", run.id)[0][0])


def task_state(database: Any, run: Run) -> str | None:
    query = f"SELECT state FROM task_instance WHERE dag_id = %s AND task_id = 'task_0' AND {live()}"
    state: str | None = database.query(query, run.dag_id)[0][0]
    return state


def a_run_ends(database: Any, run: Run) -> tuple[str, str | None]:
    """The scheduler has seen all task instances finished; one is cleared; the scheduler goes on."""
    store(run, "success")
    scheduler = Party("scheduler", end_run).stop("before", r"^UPDATE dag_run ").run_to_stop()
    person = Party("person", lambda: clear(run)).start().wait_blocked(database)
    scheduler.resume().result()
    person.result()
    return run_state(database, run), task_state(database, run)


def a_task_ends(database: Any, run: Run) -> tuple[str, str | None]:
    """Clearing has read a running task; it succeeds; clearing goes on."""
    person = Party("person", lambda: clear(run)).stop("after", r"FROM task_instance JOIN dag_run").run_to_stop()
    store(run, "success")
    person.resume().result()
    return run_state(database, run), task_state(database, run)


@pytest.mark.parametrize(
    ("schedule", "stock", "fixed"),
    [(a_run_ends, ("success", None), ("queued", None)), (a_task_ends, ("running", "restarting"), ("running", None))],
)
def test_clearing_decides_by_what_is_there(
    database: Any, mounted: Any, schedule: Any, stock: Sequence[Any], fixed: Sequence[Any]
) -> None:
    assert schedule(database, running_run("stock")) == stock
    with mounted(FIX) as status:
        assert status[FIX] == "loaded"
        assert schedule(database, running_run("fixed")) == fixed


def test_two_who_clear_one_task_both_do(database: Any, mounted: Any) -> None:
    """The second one finds the task instance under the id that the first one has given it, and its caller does, too."""
    run = running_run()
    store(run, "success")
    read = str(task_instance_ids(run)[0])
    with mounted(FIX):
        first = Party("first", lambda: clear(run)).stop("after", LOCKS_RUNS).run_to_stop()
        second = Party("second", lambda: clear(run)).start().wait_blocked(database)
        first.resume().result()
        found = second.result()
    stored = database.query(f"SELECT dag_id, id::text FROM task_instance WHERE task_id = 'task_0' AND {live()}")
    assert found == stored != [(run.dag_id, read)]
    assert task_state(database, run) is None


def test_one_that_is_gone_is_left_out(database: Any, mounted: Any) -> None:
    run = running_run()
    with mounted(FIX):
        person = Party("person", lambda: clear(run)).stop("after", r"FROM task_instance JOIN dag_run").run_to_stop()
        database.query("DELETE FROM task_instance WHERE task_id = 'task_0'")
        assert person.resume().result() == []


def test_what_the_caller_has_changed_is_kept(database: Any, mounted: Any) -> None:
    """It is written before the rows are read again."""

    def change(instance: Any) -> None:
        instance.unixname = "changed"

    with mounted(FIX):
        clear(running_run(), change=change)
    assert database.query("SELECT unixname FROM task_instance WHERE task_id = 'task_0'") == [("changed",)]


def test_nobody_is_deadlocked_who_refers_to_the_row_and_then_writes_it(database: Any, mounted: Any) -> None:
    """Clearing gives the row a new id, for which a lock that goes together with such a reference would not do."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    run = running_run()

    def refer_and_write() -> None:
        mine = TaskInstance.dag_id == run.dag_id
        with create_session(scoped=False) as session:
            # What a foreign key does when a row is inserted that points to this one.
            session.execute(select(TaskInstance.id).where(mine).with_for_update(read=True, key_share=True)).all()
            session.execute(update(TaskInstance).where(mine).values(queue="written"))

    with mounted(FIX):
        worker = Party("worker", refer_and_write).stop("before", r"^UPDATE task_instance ").run_to_stop()
        person = Party("person", lambda: clear(run)).start().wait_blocked(database)
        worker.resume().result()
        person.result()
    assert task_state(database, run) == "restarting"


def test_rows_are_locked_in_one_order_and_task_instances_last(database: Any, mounted: Any) -> None:
    runs = (running_run("one"), running_run("two"))
    with mounted(FIX):
        first = Party("first", lambda: clear(*runs)).stop("after", LOCKS_RUNS).run_to_stop()
        second = Party("second", lambda: clear(*reversed(runs))).start().wait_blocked(database)
        first.resume().result()
        assert [dag_id for dag_id, _ in second.result()] == ["two", "one"]
    statements = [" ".join(statement.split()) for statement in second.statements]
    locking = [number for number, statement in enumerate(statements) if " FOR " in statement]
    of_runs, of_instances = (re.sub(r".* ORDER BY ", "", statements[number]) for number in locking)
    assert of_runs == "dag_run.dag_id, dag_run.run_id FOR NO KEY UPDATE OF dag_run"
    # Since 3.4 in the order of the list, which is that of stock's own locks.
    order = r"task_instance\.id" if live() == "true" else "CASE WHEN .* END"
    assert re.fullmatch(f"{order} FOR UPDATE OF task_instance", of_instances)
    after = [statement for statement in statements[locking[1] + 1 :] if not statement.startswith("RELEASE")]
    assert all(re.match("INSERT|UPDATE", statement) for statement in after), "the flush is all that follows"


def test_a_heartbeat_does_not_wait_for_what_clearing_prepares(database: Any, mounted: Any) -> None:
    """The rows are not locked while each of them is prepared; and a heartbeat is no reason to prepare it again."""
    run = running_run()
    # Since 3.4 nothing is written for a task that runs before its new state is.
    prepared = "^SAVEPOINT" if live() != "true" else "^DELETE FROM task_reschedule"
    with mounted(FIX):
        person = Party("person", lambda: clear(run)).stop("after", prepared).run_to_stop()
        beat = Party("worker", lambda: heartbeat(task_instance_ids(run)[0])).start().wait_blocked(database)
        assert beat.ended
        assert beat.error is None
        person.resume().result()
    assert task_state(database, run) == "restarting"
    assert sum(bool(re.match(prepared, statement)) for statement in person.statements) == 1


def test_a_task_that_always_changes_is_cleared_under_its_lock(
    database: Any, mounted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is faster each time makes it try again, but not without end."""
    from airflow.models import taskinstance

    run, pids = running_run(), itertools.count(1000)
    # What is called once for each task instance: since 3.4 the former is not, of one that runs.
    owner: Any = taskinstance.TaskInstance if live() == "true" else taskinstance
    name = "prepare_db_for_next_try" if live() == "true" else "new_task_run_carrier"
    stock = getattr(owner, name)
    tried: list[bool] = []

    def change_first(*args: Any, **kwargs: Any) -> Any:
        worker = Party("worker", lambda: store(run, pid=next(pids))).start().wait_blocked(database)
        tried.append(worker.ended)
        return stock(*args, **kwargs)

    monkeypatch.setattr(owner, name, change_first)
    with mounted(FIX):
        person = Party("person", lambda: clear(run)).start()
        person.result()
    assert tried == [True, True, True, False], "the fourth time the others wait"
