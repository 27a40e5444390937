"""Requests that write several task instances, against statements that update several in the order of a scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dag_data import Run, task_instance_ids
from parties import Party
from several_rows import BY_KEY, REVERSED, clean_up, gate_closed, rows, sweep
from sqlalchemy import select
from test_fail_fast_lock_order import failure, report
from test_lost_mark_run_marking_row_locks import mark

SWEEPS = "sweep_row_claims"


def mark_failed(run: Run) -> None:
    mark(run, "failed")


def clear_all(run: Run) -> None:
    """As the route: read the task instances, here by the index of their ids, then clear them."""
    from airflow.models import taskinstance
    from airflow.utils.session import create_session

    model = taskinstance.TaskInstance
    with create_session(scoped=False) as session:
        taskinstance.clear_task_instances(
            list(session.scalars(select(model).where(model.dag_id == run.dag_id).order_by(model.id))), session
        )


def deadlock(database: Any, run: Run, bulk: Callable[[], None], request: Callable[[Run], None]) -> bool:
    """The bulk statement has locked its first row; the request runs until it is blocked; both go on."""
    with gate_closed(database):
        process = Party("process", bulk).start().wait_blocked(database)
        assert not process.ended, "it has no row to update"
        person = Party("person", lambda: request(run)).start().wait_blocked(database)
    process.wait()
    person.wait()
    errors = [str(party.error) for party in (process, person) if party.error is not None]
    assert all("deadlock detected" in error or "InFailedSqlTransaction" in error for error in errors), errors
    return bool(errors)


@pytest.mark.parametrize("fixes", [(), ("run_marking_row_locks",), ("run_marking_row_locks", SWEEPS)])
def test_marking_a_run_does_not_wait_for_finished_rows(database: Any, mounted: Any, fixes: tuple[str, ...]) -> None:
    run = rows(database, "raced", "failed", by_id=BY_KEY, by_place=REVERSED)
    with mounted(*fixes):
        assert not deadlock(database, run, clean_up, mark_failed)


@pytest.mark.parametrize("fixes", [(), ("clearing_row_locks",), ("clearing_row_locks", SWEEPS)])
def test_clearing_locks_in_the_order_of_its_own_flush(database: Any, mounted: Any, fixes: tuple[str, ...]) -> None:
    run = rows(database, "raced", "deferred", by_id=REVERSED, by_place=REVERSED)
    with mounted(*fixes):
        assert not deadlock(database, run, sweep, clear_all)


@pytest.mark.parametrize("fixes", [(), ("clearing_row_locks",), ("clearing_row_locks", SWEEPS)])
def test_an_order_that_no_request_has(database: Any, mounted: Any, fixes: tuple[str, ...]) -> None:
    """Rows that have moved in the file: only a sweep that waits for no row has no deadlock here."""
    run = rows(database, "raced", "deferred", by_id=BY_KEY, by_place=REVERSED)
    with mounted(*fixes):
        assert deadlock(database, run, sweep, clear_all) is (SWEEPS not in fixes)


def fail_first(database: Any) -> Callable[[Run], None]:
    """A failure that ends the others of its run."""

    def work(run: Run) -> None:
        database.query("UPDATE serialized_dag SET data = jsonb_set(data::jsonb, '{dag,fail_fast}', 'true') RETURNING 1")
        assert report(task_instance_ids(run)[0], failure()) == 204

    return work


@pytest.mark.parametrize(
    ("fix", "state", "bulk"),
    [
        ("run_marking_row_locks", "deferred", sweep),
        ("run_marking_row_locks", "up_for_retry", clean_up),
        ("clearing_row_locks", "deferred", sweep),
        ("clearing_row_locks", "failed", clean_up),
        ("fail_fast_lock_order", "deferred", sweep),
        ("fail_fast_lock_order", "up_for_retry", clean_up),
    ],
)
@pytest.mark.parametrize("by_place", [BY_KEY, REVERSED])
def test_no_deadlock_with_the_sweeps_fix(
    database: Any, mounted: Any, fix: str, state: str, bulk: Callable[[], None], by_place: tuple[str, ...]
) -> None:
    run = rows(database, "raced", state, by_id=("task_1", "task_0", "task_2"), by_place=by_place)
    requests = {
        "run_marking_row_locks": mark_failed,
        "clearing_row_locks": clear_all,
        "fail_fast_lock_order": fail_first(database),
    }
    if fix == "fail_fast_lock_order":
        set_fail_fast = "UPDATE dag SET fail_fast = true RETURNING 1"
        if database.query(
            "SELECT 1 FROM information_schema.columns WHERE table_name='dag' AND column_name='fail_fast'"
        ):
            database.query(set_fail_fast)
        database.query(
            "UPDATE task_instance SET state = 'running', trigger_id = NULL WHERE task_id = 'task_0' RETURNING 1"
        )
    with mounted(fix, SWEEPS):
        assert not deadlock(database, run, bulk, requests[fix])
