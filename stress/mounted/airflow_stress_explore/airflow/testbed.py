"""A pair of Airflow's operations on a release's database."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from airflow_stress_explore.airflow import fixtures, invariants
from airflow_stress_explore.airflow.clock import CLOCK
from airflow_stress_explore.airflow.clock import install as install_clock
from airflow_stress_explore.airflow.normalize import for_airflow
from airflow_stress_explore.airflow.operation import OPERATIONS, Fixture, UnknownInternals
from airflow_stress_explore.airflow.pairs import Pair
from airflow_stress_explore.airflow.process import database_of_process, remove_pauses, snapshot_of_process
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedulers import Scheduler
from airflow_stress_explore.sql.actors import COMMIT, ActorThread, Step
from airflow_stress_explore.sql.executor import ScheduleExecutor
from airflow_stress_explore.sql.outside import beginning
from airflow_stress_explore.sql.testbed import Actor, Execution, Testbed

VIRTUAL_TIME = "time_passes"
"""The operation with which the others see a virtual clock."""

_STRANGE = (AttributeError, ImportError, NameError, TypeError, UnknownInternals)
"""Errors of an actor that runs alone: no race, but code that the operation was not written for."""


class PairTestbed(Testbed):
    """A pair on the database of this process. One at a time: `close` it before the next one is made."""

    def __init__(self, pair: Pair, release: str) -> None:
        """Make the starting state, and keep it. Raises UnknownInternals for an operation that this release lacks."""
        from airflow import settings

        import airflow_stress_explore.airflow.operations  # noqa: F401 - registers them

        remove_pauses()
        self._virtual_time = VIRTUAL_TIME in pair.operations
        if self._virtual_time:
            install_clock()
        self._reset_clock()
        self.pair = pair
        self.operations = [OPERATIONS[name] for name in pair.operations]
        database, snapshot = database_of_process(), snapshot_of_process()
        snapshot.restore_first()
        self.fixture: Fixture = fixtures.build(pair.state, release)
        settings.Session.remove()
        self._starting_states: dict[str, str] = dict(database.query(invariants.STATES))
        self._changes: list[tuple[str, str, str]] = []
        self._states: dict[str, str] = {}
        actors = [
            Actor(operation.name, self._work(number), operation.periodic, operation.row_by_row)
            for number, operation in enumerate(self.operations)
        ]
        super().__init__(
            settings.engine,
            actors,
            invariants=(self._check,),
            row_steps=pair.row_steps,
            database=database,
            snapshot=snapshot,
            normalize=for_airflow,
            at_actor_end=settings.Session.remove,
            rewrite=CLOCK.in_sql,
        )

    def play(
        self, scheduler: Scheduler[ActorThread], watch: Callable[[ScheduleExecutor, Step], None] | None = None
    ) -> ScheduleExecutor:
        """As the base class, and forget what the schedule before has changed."""
        self._changes = []
        self._states = dict(self._starting_states)
        self._reset_clock()
        self.fixture.kept.clear()
        return super().play(scheduler, watch)

    def _reset_clock(self) -> None:
        if self._virtual_time:
            CLOCK.freeze(fixtures.NOW)
        else:
            CLOCK.release()

    def work_of(self, number: int) -> Callable[[], Any]:
        """An operation's work is made anew for each schedule."""
        return self._work(number)

    def after_step(self, step: Step) -> None:
        """Note changes of task instances' states."""
        if step.what != COMMIT or "task_instance" not in step.access.set.writes:
            return
        now: dict[str, str] = dict(self.database.query(invariants.STATES))
        for instance, state in now.items():
            before = self._states.get(instance, state)
            if before != state:
                self._changes.append((instance, before, state))
        self._states = now

    def check_serial(self, executor: ScheduleExecutor) -> None:
        """Raises UnknownInternals if an operation does not run on this release at all."""
        for actor in executor.actors:
            if isinstance(actor.error, _STRANGE):
                raise UnknownInternals(f"{actor.operation}: {_where(actor.error)}") from actor.error

    def _work(self, number: int) -> Callable[[], Any]:
        operation = self.operations[number]
        try:
            work = operation.make(self.fixture, number)
            return beginning(work) if self._virtual_time and operation.name != VIRTUAL_TIME else work
        except UnknownInternals as unknown:
            raise UnknownInternals(f"{operation.name}: {unknown}") from unknown

    def _check(self, played: Execution) -> list[Failure]:
        return invariants.check(played, self.fixture, self.operations, self._changes)


def _where(error: BaseException) -> str:
    """An error, and the line of Airflow that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if "airflow_stress_explore" not in frame.filename]
    place = f" (in {theirs[-1].name}, {theirs[-1].filename.rpartition('/')[2]}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{place}"
