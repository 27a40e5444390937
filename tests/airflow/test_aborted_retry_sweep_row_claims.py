"""Trigger clean-up and time-out sweep: what they do after a database error, and with rows that others hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from parties import Party
from several_rows import BY_KEY, clean_up, gate_closed, rows, sweep
from test_stale_trigger_event_trigger_event_claim import transaction

FIX = "sweep_row_claims"
SWEEPS = [pytest.param(clean_up, "failed", id="clean-up"), pytest.param(sweep, "deferred", id="time-out")]


def swept(database: Any) -> list[bool]:
    """Which task instances, by task, have lost their trigger."""
    return [row[0] is None for row in database.query("SELECT trigger_id FROM task_instance ORDER BY task_id")]


@pytest.mark.parametrize(("work", "state"), SWEEPS)
@pytest.mark.parametrize("fix", [None, FIX])
def test_a_retry_begins_with_an_empty_transaction(
    database: Any, mounted: Any, release: str, work: Callable[[], None], state: str, fix: str | None
) -> None:
    """The server ends the first attempt's statement. On stock none of the others can succeed, and the process ends.

    Since 3.4 the clean-up has a new session for each attempt.
    """
    succeeds = fix is not None or (work is clean_up and release.startswith("3.4."))
    rows(database, "raced", state, by_id=BY_KEY, by_place=BY_KEY)
    with mounted(*([fix] if fix else [])) as status:
        assert status == ({fix: "loaded"} if fix else {})
        with gate_closed(database):
            process = Party("process", work).start().wait_blocked(database)
            database.query("SELECT pg_cancel_backend(%s)", process.pid)
            process.wait_until(lambda: not database.blockers(process.pid), "to be told of the error")
        process.wait()
    assert swept(database) == [succeeds] * 3
    if not succeeds:
        assert "InFailedSqlTransaction" in str(process.error)
    else:
        assert process.error is None


@pytest.mark.parametrize(("work", "state"), SWEEPS)
def test_a_row_that_is_held_is_left_to_the_next_sweep(
    database: Any, mounted: Any, work: Callable[[], None], state: str
) -> None:
    rows(database, "raced", state, by_id=BY_KEY, by_place=BY_KEY)
    with mounted(FIX):
        with transaction(database, "UPDATE task_instance SET priority_weight = 7 WHERE task_id = 'task_1'"):
            Party("process", work).start().wait_blocked(database).result()
        assert swept(database) == [True, False, True]
        work()
    assert swept(database) == [True, True, True]


@pytest.mark.parametrize(("work", "state"), SWEEPS)
def test_without_others_it_stores_what_stock_does(
    database: Any, mounted: Any, work: Callable[[], None], state: str
) -> None:
    columns = "state, trigger_id, next_method, next_kwargs"

    def stored(dag_id: str) -> list[tuple[Any, ...]]:
        return list(database.query(f"SELECT {columns} FROM task_instance WHERE dag_id = %s ORDER BY task_id", dag_id))

    rows(database, "stock", state, by_id=BY_KEY, by_place=BY_KEY)
    work()
    database.query("UPDATE task_instance SET id = gen_random_uuid() RETURNING 1")
    with mounted(FIX):
        rows(database, "fixed", state, by_id=BY_KEY, by_place=BY_KEY)
        work()
    assert stored("fixed") == stored("stock")
