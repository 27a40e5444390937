"""A scheduler processes the exit of the worker that deferred a task after the task has gone on."""

from __future__ import annotations

from typing import Any

import pytest
from played import state, work

FIX = "deferral_exit_filter"
STATE = ("deferred_run", "two_schedulers")


def state_of(database: Any) -> str:
    """The first task's."""
    return str(database.query("SELECT state FROM task_instance WHERE task_id = 'task_0'")[0][0])


@pytest.mark.parametrize("fix", [None, FIX])
def test_a_resumed_task_runs_on(database: Any, mounted: Any, release: str, fix: str | None) -> None:
    run = state(release, *STATE)
    with mounted(*([fix] if fix else [])) as status:
        assert status == ({fix: "loaded"} if fix else {})
        assert work(run, "resumption")().answer == "200"
        assert state_of(database) == "running"
        work(run, "deferral_exit")()
    assert state_of(database) == ("running" if fix else "failed")


@pytest.mark.parametrize("set_to", ["deferred", "scheduled", "queued"])
def test_one_that_is_on_its_way_goes_on(database: Any, mounted: Any, release: str, set_to: str) -> None:
    run = state(release, *STATE)
    database.query(f"UPDATE task_instance SET state = '{set_to}' WHERE task_id = 'task_0' RETURNING 1")
    with mounted(FIX):
        work(run, "deferral_exit")()
    assert state_of(database) == set_to


@pytest.mark.parametrize("set_to", ["queued", "running"])
def test_the_exit_of_a_worker_that_reported_nothing_is_a_failure(
    database: Any, mounted: Any, release: str, set_to: str
) -> None:
    """It has not deferred its task: as on stock."""
    run = state(release, *STATE)
    values = f"state = '{set_to}', next_method = NULL, next_kwargs = NULL, trigger_id = NULL"
    database.query(f"UPDATE task_instance SET {values} WHERE task_id = 'task_0' RETURNING 1")
    with mounted(FIX):
        work(run, "deferral_exit")()
    assert state_of(database) == "failed"
