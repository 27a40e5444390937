"""A worker reports success while a scheduler processes its executor's report that the worker has failed."""

from __future__ import annotations

from typing import Any

import pytest
from parties import Party
from played import party, state, work

from airflow_stress_explore.airflow.operations.scheduler import event_key, scheduler

FIX = "event_callbacks_last"


def outcome(database: Any, release: str) -> tuple[str, int]:
    """The first task's state, and how many failure callbacks wait for the DAG processor."""
    table = "callback_request" if release.startswith("3.1.") else "callback"
    live = "AND working_set" if release.startswith("3.4.") else ""
    states = database.query(f"SELECT state FROM task_instance WHERE task_id = 'task_0' {live}")
    return states[0][0], database.query(f"SELECT count(*) FROM {table}")[0][0]


def test_the_locks_last_until_the_failure_is_stored(database: Any, mounted: Any, release: str) -> None:
    run = state(release, "silent_run")
    with mounted(FIX) as status:
        assert status == {FIX: "loaded"}
        event = party(run, "executor_failure").stop("before", r"^UPDATE task_instance ").run_to_stop()
        worker = party(run, "state_update").start().wait_blocked(database)
        assert not worker.ended
        event.resume().result()
        assert worker.result().answer == "409 invalid_state"
    assert outcome(database, release) == ("failed", 1)


def test_on_stock_a_success_is_overwritten(database: Any, mounted: Any, release: str) -> None:
    run = state(release, "silent_run")
    with mounted():
        event = party(run, "executor_failure").stop("before", r"^UPDATE task_instance ").run_to_stop()
        worker = party(run, "state_update").start().wait_blocked(database)
        assert worker.result().answer == "204"
        event.resume().result()
    assert outcome(database, release) == ("failed", 1)


def test_without_a_worker_beside_it_the_same_is_stored(database: Any, mounted: Any, release: str) -> None:
    run = state(release, "silent_run")
    with mounted(FIX):
        work(run, "executor_failure")()
    assert outcome(database, release) == ("failed", 1)


def test_after_an_error_nothing_is_sent(
    database: Any, mounted: Any, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.taskinstance import TaskInstance

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the failure cannot be stored")

    run = state(release, "silent_run")
    monkeypatch.setattr(TaskInstance, "handle_failure", fail)
    with mounted(FIX):
        event = party(run, "executor_failure").start().wait()
    assert isinstance(event.error, RuntimeError)
    assert outcome(database, release) == ("running", 0)


def test_an_error_of_a_later_event_takes_no_callback_of_a_stored_failure(
    database: Any, mounted: Any, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    run = state(release, "silent_run")
    stock, failed = TaskInstance.handle_failure, []

    def fail_once(self: Any, *args: Any, **kwargs: Any) -> Any:
        failed.append(self.task_id)
        if len(failed) > 1:
            raise RuntimeError("the second failure cannot be stored")
        return stock(self, *args, **kwargs)

    monkeypatch.setattr(TaskInstance, "handle_failure", fail_once)

    def process() -> None:
        runner = scheduler(run, 0)
        runner.executor.callback_sink = DatabaseCallbackSink()
        for number in range(2):
            runner.executor.event_buffer[event_key(run, number)] = ("failed", None)
        with create_session() as session:
            runner._process_executor_events(executor=runner.executor, session=session)

    with mounted(FIX):
        assert isinstance(Party("events", process).start().wait().error, RuntimeError)
    assert len(failed) == 2
    table = "callback_request" if release.startswith("3.1.") else "callback"
    live = "AND working_set" if release.startswith("3.4.") else ""
    stored = database.query(f"SELECT task_id FROM task_instance WHERE state = 'failed' {live}")
    assert stored == [(failed[0],)]
    assert database.query(f"SELECT count(*) FROM {table}") == [(1,)]
