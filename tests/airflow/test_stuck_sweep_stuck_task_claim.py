"""The sweep of tasks that are stuck in the queue, and a worker that starts one of them."""

from __future__ import annotations

from typing import Any

import pytest
from played import party, state, work

FIX = "stuck_task_claim"
SWEEPS = r"^UPDATE task_instance "


def states(database: Any) -> list[str]:
    """The states of the run's two tasks."""
    return [row[0] for row in database.query("SELECT state FROM task_instance ORDER BY task_id")]


@pytest.mark.parametrize("fix", [None, FIX])
def test_a_task_that_starts_before_it_is_swept_runs_on(
    database: Any, mounted: Any, release: str, fix: str | None
) -> None:
    """The sweep has found it, and looks how often it was stuck before."""
    run = state(release, "stuck_run")
    with mounted(*([fix] if fix else [])) as status:
        assert status == ({fix: "loaded"} if fix else {})
        sweep = party(run, "stuck_queued_sweep").stop("after", r"FROM task_instance .*queued_dttm <").run_to_stop()
        answer = party(run, "enter_running").start().result()
        sweep.resume().result()
    assert answer.answer == "200"
    assert states(database) == ["running" if fix else "scheduled", "queued"]


def test_a_worker_that_starts_while_its_task_is_swept_is_refused(database: Any, mounted: Any, release: str) -> None:
    run = state(release, "stuck_run")
    with mounted(FIX):
        sweep = party(run, "stuck_queued_sweep").stop("before", SWEEPS).run_to_stop()
        worker = party(run, "enter_running").start().wait_blocked(database)
        assert not worker.ended
        sweep.resume().result()
        assert worker.result().answer == "409 invalid_state"
    assert states(database) == ["scheduled", "queued"]


def test_a_task_that_another_one_holds_is_left_alone(database: Any, mounted: Any, release: str) -> None:
    run = state(release, "stuck_run")
    with mounted(FIX):
        worker = party(run, "enter_running").stop("before", SWEEPS).run_to_stop()
        work(run, "stuck_queued_sweep")()
        assert states(database) == ["queued", "queued"]
        assert worker.resume().result().answer == "200"
    assert states(database) == ["running", "queued"]


def test_a_task_that_no_worker_starts_is_swept(database: Any, mounted: Any, release: str) -> None:
    run = state(release, "stuck_run")
    with mounted(FIX):
        work(run, "stuck_queued_sweep")()
    assert states(database) == ["scheduled", "queued"]
