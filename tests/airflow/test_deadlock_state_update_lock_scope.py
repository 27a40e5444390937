"""A task's state update against the scheduler's version refresh: deadlock, and what is locked (#66734)."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import psycopg2.errors
import pytest
from dag_data import NOW, Run, running_run, task_instance_ids, write_dag
from parties import Party
from scheduler_parts import refresh_dag_version
from sqlalchemy.exc import DBAPIError
from state_updates import UNREADABLE_EVENTS, stored_state, success, update_state

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "state_update_lock_scope"
LOADS_TASK_INSTANCE = r"task_instance\.pool_slots.*FROM task_instance JOIN dag_run"


def is_deadlock(error: BaseException | None) -> bool:
    """Whether an error comes from ``deadlock detected``, directly or through the aborted session."""
    while error is not None:
        if isinstance(error, DBAPIError) and isinstance(
            error.orig, (psycopg2.errors.DeadlockDetected, psycopg2.errors.InFailedSqlTransaction)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def race(database: Any, run: Run) -> int:
    """The task instance is locked, the scheduler waits for it, the api-server goes on; counts deadlocks."""
    instance = task_instance_ids(run)[0]
    before = deadlocks(database)
    api = Party("api-server", lambda: update_state(instance, success()))
    api.stop("before", LOADS_TASK_INSTANCE).run_to_stop()
    scheduler = Party("scheduler", lambda: refresh_dag_version(run)).start().wait_blocked(database)
    api.resume().wait()
    scheduler.wait()
    errors = [party.error for party in (api, scheduler) if party.error is not None]
    count = deadlocks(database) - before
    assert all(is_deadlock(error) for error in errors), errors
    assert bool(errors) == bool(count)
    return count


def deadlocks(database: Any) -> int:
    """The server's own count, after every backend of ours has reported."""
    from airflow import settings

    settings.engine.dispose()  # a backend sends its statistics at the latest when it ends
    database.query("SELECT pg_stat_force_next_flush()")
    return int(database.run("SELECT deadlocks FROM pg_stat_database WHERE datname = %s", database.database)[0][0])


def new_run(dag_id: str) -> Run:
    """A running run whose DAG has a newer version than its task instances."""
    run = running_run(dag_id)
    write_dag(dag_id, tasks=2, extra="version 2")
    return run


def test_no_deadlock_with_the_version_refresh(database: Any, mounted: Any, release: str) -> None:
    defect = FIXES[FIX].fits(release) is Fit.APPLIES

    assert race(database, new_run("stock")) == (1 if defect else 0)

    with mounted(FIX) as status:
        assert status == {FIX: "loaded" if defect else "not_needed"}
        run = new_run("fixed")
        assert race(database, run) == 0
        assert stored_state(database, task_instance_ids(run)[0]) == "success"


@pytest.mark.parametrize("site", ["update", "error handler"])
def test_dag_run_is_not_locked(database: Any, mounted: Any, release: str, site: str) -> None:
    defect = FIXES[FIX].fits(release) is Fit.APPLIES
    payload = success() if site == "update" else success(outlet_events=UNREADABLE_EVENTS)

    assert locks_dag_run(database, "stock", payload) is defect
    with mounted(FIX):
        assert locks_dag_run(database, "fixed", payload) is False


def locks_dag_run(database: Any, dag_id: str, payload: Any) -> bool:
    """Whether the update, before its commit, holds a lock on the dag run."""
    run = running_run(dag_id)
    instance = task_instance_ids(run)[0]
    locked: list[bool] = []

    def look() -> None:
        try:
            database.query("SELECT id FROM dag_run WHERE id = %s FOR NO KEY UPDATE NOWAIT", run.id)
            locked.append(False)
        except psycopg2.errors.LockNotAvailable:
            locked.append(True)

    update_state(instance, payload, before_commit=look)
    expected = "success" if payload.outlet_events == [] else "failed"
    assert stored_state(database, instance) == expected, "the wrong branch was taken"
    return locked[0]


def test_fix_reaches_the_route_that_is_served(database: Any, mounted: Any, release: str) -> None:
    """Over HTTP, while somebody holds the dag run: the web framework keeps references of its own."""
    defect = FIXES[FIX].fits(release) is Fit.APPLIES

    assert waits_for_dag_run(database, "stock") is defect
    with mounted(FIX):
        assert waits_for_dag_run(database, "fixed") is False


def waits_for_dag_run(database: Any, dag_id: str) -> bool:
    """Whether a served state update waits for the lock of the dag run; either way it ends with 204."""
    run = running_run(dag_id)
    instance = task_instance_ids(run)[0]
    served_api()
    holder = psycopg2.connect(database.url().replace("+psycopg2", ""))
    holder.cursor().execute("SELECT id FROM dag_run WHERE id = %s FOR UPDATE", (run.id,))
    request = Party("request", lambda: patch_state(instance)).start()
    waited = request.wait_until(lambda: database.waiting_for_locks() > 0, "to end or to wait for the dag run")
    holder.rollback()
    holder.close()
    assert request.result() == 204
    return waited


@functools.lru_cache(maxsize=1)
def served_api() -> Any:
    """A client of the Execution API as Airflow serves it to itself, with all its versions and middleware.

    Its versions are generated at its first request, for many seconds of CPU time: no request whose waiting is watched.
    """
    from airflow.api_fastapi.execution_api.app import InProcessExecutionAPI

    transport = InProcessExecutionAPI().transport
    httpx = importlib.import_module(type(transport).__module__.partition(".")[0])  # httpx2 from 3.4 on
    client = httpx.Client(transport=transport, base_url="http://in-process", timeout=120)
    client.get("/health")
    return client


def patch_state(instance: Any) -> int:
    """Report success over HTTP; returns the status code."""
    body = {"state": "success", "end_date": NOW.isoformat(), "task_outlets": [], "outlet_events": []}
    return int(served_api().patch(f"/task-instances/{instance}/state", json=body).status_code)
