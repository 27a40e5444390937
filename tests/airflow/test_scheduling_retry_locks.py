"""A scheduler whose first attempt ended with a database error, and another one that has its runs by then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dag_data import running_run
from parties import Party
from scheduler_parts import runs_to_examine
from test_stale_trigger_event_trigger_event_claim import transaction

FIX = "scheduling_retry_locks"


def scheduler() -> Any:
    """A scheduler without its job, which only the parts that are not called need."""
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dagbag import DBDagBag

    runner: Any = object.__new__(SchedulerJobRunner)
    runner.scheduler_dag_bag = DBDagBag()
    runner.job = SimpleNamespace(id=1, max_tis_per_query=512, latest_heartbeat=None)
    runner._log = None
    return runner


def examine() -> int:
    """The middle of ``_do_scheduling``: lock the running runs, examine them, commit. How many were examined."""
    from airflow.utils.session import create_session
    from airflow.utils.sqlalchemy import prohibit_commit

    runner, examined = scheduler(), 0
    stock = runner._schedule_dag_run

    def count(*args: Any, **kwargs: Any) -> Any:
        nonlocal examined
        done = stock(*args, **kwargs)
        examined += 1
        return done

    runner._schedule_dag_run = count
    with create_session(scoped=False) as session, prohibit_commit(session) as guard:
        runner._schedule_all_dag_runs(guard, runs_to_examine(session), session)
    return examined


@pytest.fixture
def two_runs(database: Any) -> None:
    """Of two DAGs, with one task each that may be scheduled."""
    for dag_id in ("one", "two"):
        running_run(dag_id, tasks=1)
    database.query("UPDATE task_instance SET state = NULL, start_date = NULL RETURNING 1")


def retried(database: Any) -> Party:
    """A scheduler whose first attempt the server has ended while it waited for a row; before its next statement."""
    with transaction(database, "SELECT 1 FROM task_instance FOR UPDATE"):
        first = Party("first", examine).start().wait_blocked(database)
        first.stop("before", "SELECT|UPDATE")
        database.query("SELECT pg_cancel_backend(%s)", first.pid)
        first.wait_stopped()
    return first


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize("fix", [None, FIX])
def test_a_retry_leaves_the_runs_that_another_scheduler_has_taken(database: Any, mounted: Any, fix: str | None) -> None:
    with mounted(*([fix] if fix else [])) as status:
        assert status == ({fix: "loaded"} if fix else {})
        first = retried(database)
        second = Party("second", examine).stop("before", r"^UPDATE task_instance").run_to_stop()
        first.resume().wait_blocked(database)
        waits = not first.ended and second.pid in database.blockers(first.pid)
        assert waits is (fix is None), "on stock it writes a run that the other scheduler has locked"
        second.resume().wait()
        first.wait()
    assert first.error is None or fix is None
    assert second.error is None or fix is None
    if fix is not None:
        assert (first.value, second.value) == (0, 2)
        assert database.query("SELECT DISTINCT state FROM task_instance") == [("success",)]


@pytest.mark.usefixtures("two_runs")
def test_a_retry_examines_all_its_runs_if_nobody_has_them(database: Any, mounted: Any) -> None:
    with mounted(FIX):
        first = retried(database)
        assert first.resume().result() == 2


@pytest.mark.usefixtures("two_runs")
def test_a_run_that_has_ended_meanwhile_is_left_out(database: Any, mounted: Any) -> None:
    with mounted(FIX):
        first = retried(database)
        database.query("UPDATE dag_run SET state = 'failed' WHERE dag_id = 'one' RETURNING 1")
        assert first.resume().result() == 1
    assert database.query("SELECT state FROM dag_run ORDER BY dag_id") == [("failed",), ("running",)]
