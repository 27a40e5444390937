"""The purge of tasks without heartbeats, beside what their workers report: states, and failure callbacks."""

from __future__ import annotations

from typing import Any

import pytest
from played import party, state, work

FIX = "silent_task_claim"


def outcome(database: Any, release: str) -> tuple[str, int]:
    """The first task's state, and how many failure callbacks wait for the DAG processor."""
    table = "callback_request" if release.startswith("3.1.") else "callback"
    live = "AND working_set" if release.startswith("3.4.") else ""
    states = database.query(f"SELECT state FROM task_instance WHERE task_id = 'task_0' {live}")
    return states[0][0], database.query(f"SELECT count(*) FROM {table}")[0][0]


@pytest.mark.parametrize("fix", [None, FIX])
def test_a_success_in_the_middle_of_the_purge(database: Any, mounted: Any, release: str, fix: str | None) -> None:
    """It is reported once the callback is stored. With the fix the failure is stored by then, and the report waits."""
    run = state(release, "silent_run")
    with mounted(*([fix] if fix else [])) as status:
        assert status == ({fix: "loaded"} if fix else {})
        purge = party(run, "heartbeat_timeout").stop("after", r"^INSERT INTO callback").run_to_stop()
        worker = party(run, "state_update").start()
        if fix or release.startswith("3.4."):
            worker.wait_blocked(database)  # or refused at once, if the failure is committed by then
        else:
            assert worker.result().answer == "204"
        purge.resume().result()
        answer = worker.result().answer
    if fix:
        assert answer == "409 invalid_state"
        assert outcome(database, release) == ("failed", 1)
    elif not release.startswith("3.4."):
        assert outcome(database, release) == ("success", 1)


@pytest.mark.parametrize("fix", [None, FIX])
def test_callbacks_of_one_time_out(database: Any, mounted: Any, release: str, fix: str | None) -> None:
    run = state(release, "silent_run")
    with mounted(*([fix] if fix else [])):
        work(run, "heartbeat_timeout")()
    assert outcome(database, release) == ("failed", 1 if fix or release.startswith("3.4.") else 2)


def test_a_task_that_has_a_heartbeat_again_runs_on(database: Any, mounted: Any, release: str) -> None:
    """The heartbeat comes after the purge has found the task. From 3.4 on stock has its lock by then."""
    if release.startswith("3.4."):
        pytest.skip("the row is locked when it is found")
    run = state(release, "silent_run")
    with mounted(FIX):
        purge = party(run, "heartbeat_timeout").stop("after", r"last_heartbeat_at <").run_to_stop()
        assert party(run, "heartbeat").start().result().answer == "204"
        purge.resume().result()
    assert outcome(database, release) == ("running", 0)
