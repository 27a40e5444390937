"""How many runs of a DAG run at a time: the scheduler starts queued runs, and `max_active_runs` limits them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from airflow_stress_explore.airflow.fixtures import create_run, ingredient, write_dag
from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation
from airflow_stress_explore.airflow.operations.scheduler import RUNNER, scheduler

RUNS = ("run_1", "run_2")
LIMIT = "max_active_runs"
"""The fact of a fixture that names the limit."""


@ingredient
def two_queued_runs(fixture: Fixture) -> None:
    """Two queued runs of a DAG of which one run may run at a time."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import update

    dag = write_dag(fixture.dag_id, tasks=1, max_active_runs=1)
    for run_id in RUNS:
        create_run(Fixture(fixture.release, fixture.dag_id, run_id), dag, None)
    with create_session() as session:
        queued = update(DagRun).where(DagRun.dag_id == fixture.dag_id)
        session.execute(queued.values(state="queued", start_date=None))
    fixture.facts[LIMIT] = 1


class _Shared:
    """A value of a class while at least one actor needs it; the operations of other pairs have Airflow's own again."""

    def __init__(self, owner: Any, name: str, value: object) -> None:
        self._owner, self._name, self._value = owner, name, value
        self._lock = threading.Lock()
        self._users = 0
        self._stock: object = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._stock = getattr(self._owner, self._name)
                setattr(self._owner, self._name, self._value)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                setattr(self._owner, self._name, self._stock)


@functools.cache
def _one_run(dag_run: Any) -> _Shared:
    return _Shared(dag_run, "DEFAULT_DAGRUNS_TO_EXAMINE", 1)


@operation("start_queued_runs", "a scheduler starts queued runs", periodic=True)
def start_queued_runs(fixture: Fixture, number: int) -> Callable[[], Response]:
    """The first part of `_do_scheduling`, to its commit.

    A loop of the scheduler takes one run (`scheduler.max_dagruns_per_loop_to_schedule = 1`), so that two runs are more
    than a loop takes. The default is 20.
    """
    create_session = find("airflow.utils.session", "create_session")
    prohibit_commit = find("airflow.utils.sqlalchemy", "prohibit_commit")
    find(RUNNER, "SchedulerJobRunner._start_queued_dagruns")
    dag_run = find("airflow.models.dagrun", "DagRun")

    def work() -> Response:
        runner = scheduler(fixture, number)
        with _one_run(dag_run), create_session(scoped=False) as session, prohibit_commit(session) as guard:
            runner._start_queued_dagruns(session)
            guard.commit()
        return Response("done")

    return work
