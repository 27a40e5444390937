"""Backfills: a request creates one with its runs, and schedulers complete those whose runs have ended."""

from __future__ import annotations

import datetime
import functools
import importlib
import threading
from collections.abc import Callable
from typing import Any

from airflow_stress_explore.airflow.fixtures import ingredient, write_dag
from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation, supply
from airflow_stress_explore.airflow.operations.scheduler import RUNNER, scheduler

_START = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
_LATER = datetime.timedelta(minutes=3)
"""How much later the completion runs: since 3.3 a backfill without runs is completed if it is two minutes old."""

_clock = threading.local()
"""``ahead``: by how much the clock of this actor's process is ahead."""


@ingredient
def scheduled_dag(fixture: Fixture) -> None:
    """A DAG with a daily schedule and no run."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    write_dag(fixture.dag_id, tasks=1, schedule="@daily", start_date=_START, catchup=False)
    with create_session() as session:
        session.get(DagModel, fixture.dag_id).is_paused = False


@operation("backfill_creation", "a user creates a backfill of two days")
def backfill_creation(fixture: Fixture, number: int) -> Callable[[], Response]:
    """As the route calls it. Its errors are the route's answers."""
    models = "airflow.models.backfill"
    create = find(models, "_create_backfill")
    already_running = find(models, "AlreadyRunningBackfill")
    behavior = find(models, "ReprocessBehavior.NONE")
    range_ = {"from_date": _START, "to_date": _START + datetime.timedelta(days=1), "reverse": False}

    def work() -> Response:
        try:
            supply(
                create,
                dag_id=fixture.dag_id,
                max_active_runs=10,
                dag_run_conf={},
                triggering_user_name="a user",
                reprocess_behavior=behavior,
                **range_,
            )
        except already_running:
            return Response("409")
        return Response("200")

    return work


@operation("backfill_completion", "a scheduler completes backfills without unfinished runs", periodic=True)
def backfill_completion(fixture: Fixture, number: int) -> Callable[[], Response]:
    """As the loop's timer calls it every 30 s; here three minutes after the creation has begun."""
    find(RUNNER, "SchedulerJobRunner._mark_backfills_complete")
    _let_clocks_differ()

    def work() -> Response:
        _clock.ahead = _LATER
        supply(scheduler(fixture, number)._mark_backfills_complete)
        return Response("done")

    return work


@functools.cache
def _let_clocks_differ() -> None:
    """The time of day of a scheduler's code, from now on, is that of the process that its actor stands for."""
    module = importlib.import_module(RUNNER)
    stock = find(RUNNER, "timezone")

    class Clock:
        """The module `timezone`, with a clock that may be ahead."""

        def __getattr__(self, name: str) -> Any:
            return getattr(stock, name)

        def utcnow(self) -> datetime.datetime:
            now: datetime.datetime = stock.utcnow()
            return now + getattr(_clock, "ahead", datetime.timedelta())

    module.timezone = Clock()  # type: ignore[attr-defined]
