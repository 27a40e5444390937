"""A testbed: some actors and the database that they race on, made ready to be played any number of times."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedule import LETTERS, encode
from airflow_stress_explore.core.schedule_table import Row
from airflow_stress_explore.core.schedulers import ReplayByName, Scheduler, SerialScheduler
from airflow_stress_explore.core.search import Drawn, Record, Search, Verdict
from airflow_stress_explore.core.sources import SourceRecorder
from airflow_stress_explore.core.workers import InProcessWorker
from airflow_stress_explore.sql.access import AccessSet
from airflow_stress_explore.sql.actors import ActorThread, Crashed, Step
from airflow_stress_explore.sql.database import Database
from airflow_stress_explore.sql.executor import ScheduleExecutor
from airflow_stress_explore.sql.hooks import listen
from airflow_stress_explore.sql.invariants import (
    Outcome,
    deadlocks_and_errors,
    each_row_as_in_some_order,
    lost_update,
    responses,
)
from airflow_stress_explore.sql.normalize import Normalize, Rows, by_generated_keys
from airflow_stress_explore.sql.row_stops import RowStops, overlap
from airflow_stress_explore.sql.snapshot import Snapshot
from airflow_stress_explore.sql.witness import Witness

_MOST_ROUNDS = 5
"""How often periodic actors run at most, until they change nothing more."""


@dataclass(frozen=True)
class Actor:
    """A piece of work that races with others."""

    operation: str
    """What it does, for a reader."""

    work: Callable[[], Any]
    """Called in its own thread, once a schedule. Its value is the response, which `lost_update` compares."""

    periodic: bool = False
    """Part of a loop: what it leaves undone because another actor holds a row, it does in its next round."""

    row_by_row: bool = False
    """It decides each row by itself, and may skip rows that are locked: other actors may come before it in one row and
    after it in another. Each row must still be as in some serial order."""


@dataclass(frozen=True)
class Outcomes:
    """Of one serial order of the actors."""

    at_once: Outcome
    later: Outcome
    """After further rounds of the periodic actors."""


@dataclass
class Execution:
    """A schedule that was played."""

    executor: ScheduleExecutor
    database: Database
    committed: Mapping[str, Rows]
    """The rows of all tables that schedules have written so far."""

    failures: list[Failure] = field(default_factory=list)

    @property
    def schedule(self) -> str:
        """The string of the schedule."""
        return encode(self.executor.choices)

    @property
    def steps(self) -> list[Row]:
        """The steps, as `core.render` shows them."""
        return [step.as_row() for step in self.executor.steps]

    @property
    def responses(self) -> dict[str, str]:
        """What each actor returned, or the class of the exception that it ended with."""
        return responses(self.executor)

    def contents(self, table: str) -> Rows:
        """The committed rows of a table."""
        return self.committed[table] if table in self.committed else self.database.contents([table])[table]


Invariant = Callable[[Execution], Iterable[Failure]]


class Testbed:
    """Some actors and their database."""

    __test__ = False
    """Not a class of tests, although its name looks so to pytest."""

    def __init__(
        self,
        engine: Any,
        actors: Sequence[Actor],
        *,
        invariants: Sequence[Invariant] = (),
        row_steps: bool = False,
        database: Database | None = None,
        snapshot: Snapshot | None = None,
        normalize: Callable[[Database, Mapping[str, Rows]], Normalize] = by_generated_keys,
        at_actor_end: Callable[[], None] = lambda: None,
        rewrite: Callable[[str], str] = lambda statement: statement,
    ) -> None:
        """Take the state of the database as the one that each schedule begins with.

        `engine`: the SQLAlchemy engine that the actors use, over psycopg2. `invariants`: what must hold besides those
        of `invariants.py`. `row_steps`: statements also stop between their rows. `normalize`: how rows are compared.
        `at_actor_end`: called in each actor's thread after its work. `rewrite`: what is sent in place of a statement.
        """
        listen(engine)
        self._engine = engine
        self.actors = actors
        self.names = [LETTERS[number] for number in range(len(actors))]
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False) if database is None else ""
        self.database = database or Database(url)
        self._invariants = invariants
        self._at_actor_end = at_actor_end
        self._rewrite = rewrite
        self._snapshot = snapshot or Snapshot(self.database)
        self._snapshot.take()
        starting = self.database.contents(self.database.schema.tables)
        self._normalize = normalize(self.database, starting)
        self._starting_rows = {table: self._normalize(table, rows) for table, rows in starting.items()}
        self._written: set[str] = set()
        self._touched: set[str] = set()
        self._serial: list[Outcomes] = []
        self._rows: RowStops | None = None
        self.sources: SourceRecorder | None = None
        """Notes what the actors call, while it is set."""

        if row_steps:
            self._rows = self._install_row_stops()

    def close(self) -> None:
        """Restore the starting state, and remove what was installed for stops between rows."""
        self.restore()
        if self._rows is not None:
            self._rows.remove()

    # -- for a reader --------------------------------------------------------------------------------------------

    def search(self, preemptions: int, *, pruning: bool = True) -> Search:
        """The search of all schedules with at most so many preemptions."""
        self.play_serially()
        return Search([InProcessWorker(self.play_path)], self.names, preemptions, pruning=pruning)

    def replay(self, schedule: str) -> Execution:
        """Play one schedule, and see which rows each step locks. Raises BadSchedule."""
        self.play_serially()
        return self.judge(self.play(ReplayByName.of(schedule), Witness(self.database).look))

    # -- for a driver --------------------------------------------------------------------------------------------

    def play_path(self, path: Sequence[str] | Drawn) -> Record:
        """Play these choices, then the default ones, or what is drawn; for a worker."""
        scheduler = ReplayByName(path) if isinstance(path, Sequence) else path.scheduler()
        played = self.judge(self.play(scheduler))
        diverged = isinstance(scheduler, ReplayByName) and scheduler.diverged
        return played.executor.record(diverged, Verdict(played.failures, played.responses))

    def play(
        self, scheduler: Scheduler[ActorThread], watch: Callable[[ScheduleExecutor, Step], None] | None = None
    ) -> ScheduleExecutor:
        """Play the actors from the starting state. `watch`: called after each step."""
        self.restore()
        return self._run(range(len(self.actors)), scheduler, watch)

    def restore(self) -> None:
        """Restore the starting state."""
        self._snapshot.restore(self._written, self._rows.tables if self._rows is not None else ())
        self._written = set()

    def work_of(self, number: int) -> Callable[[], Any]:
        """What an actor does in the next schedule."""
        return self.actors[number].work

    def after_step(self, step: Step) -> None:
        """Called after each step."""

    def judge(self, executor: ScheduleExecutor) -> Execution:
        """What a schedule that has ended violates. Without `play_serially` before, `lost_update` is not checked."""
        played = Execution(executor, self.database, self.database.contents(self._touched))
        played.failures += deadlocks_and_errors(executor)
        for invariant in self._invariants:
            played.failures += invariant(played)
        if not played.failures and self._serial:
            played.failures += self._compare_with_serial(played)
        return played

    def play_serially(self) -> list[Outcomes]:
        """Play the actors in each serial order, once: the outcomes that are right."""
        if not self._serial:
            self._serial = [self._outcomes_of(order) for order in self._orders()]
        return self._serial

    def check_serial(self, executor: ScheduleExecutor) -> None:
        """Called after each serial order. May raise if the actors do not run at all."""

    def _outcomes_of(self, order: Sequence[str]) -> Outcomes:
        executor = self.play(SerialScheduler(order))
        self.check_serial(executor)
        at_once = self._outcome(executor, self.database.contents(self._touched))
        return Outcomes(at_once, self._later(executor))

    def _compare_with_serial(self, played: Execution) -> list[Failure]:
        found = self._outcome(played.executor, played.committed)
        if any(found.is_as(outcomes.at_once) for outcomes in self._serial):
            return []
        # Periodic actors have time to do what they left undone.
        later = [outcomes.later for outcomes in self._serial]
        found = self._later(played.executor)
        by_row = any(actor.row_by_row for actor in self.actors)
        if by_row and each_row_as_in_some_order(found, later, self._starting_rows):
            return []
        return lost_update(found, later)

    def _run(
        self,
        numbers: Iterable[int],
        scheduler: Scheduler[ActorThread],
        watch: Callable[[ScheduleExecutor, Step], None] | None = None,
    ) -> ScheduleExecutor:
        work = {self.names[number]: (self.actors[number].operation, self._noted(number)) for number in numbers}

        def each_step(executor: ScheduleExecutor, step: Step) -> None:
            self.after_step(step)
            if watch is not None:
                watch(executor, step)

        executor = ScheduleExecutor(
            work, self.database, self.database.schema, each_step, self._rows, self._at_actor_end, self._rewrite
        )
        executor.run(scheduler)
        if any(isinstance(actor.error, Crashed) for actor in executor.actors):
            self._engine.dispose()  # the pool has connections that the server has ended
        self._written |= executor.written
        self._touched |= executor.written
        return executor

    def _noted(self, number: int) -> Callable[[], Any]:
        work, sources = self.work_of(number), self.sources
        return work if sources is None else lambda: sources.run(work)

    def _install_row_stops(self) -> RowStops:
        """Between the rows of the tables on which the actors meet, in any serial order."""
        touched = [AccessSet() for _ in self.actors]
        for order in self._orders():
            executor = self.play(SerialScheduler(order))
            touched = [one.with_(actor.touched) for one, actor in zip(touched, executor.actors, strict=True)]
        rows = RowStops(self.database, overlap(touched) & self.database.schema.tables)
        self._written |= rows.tables  # so that their rows lie where they will lie in each schedule
        return rows

    def _orders(self) -> Iterable[tuple[str, ...]]:
        return itertools.permutations(self.names)

    def _later(self, executor: ScheduleExecutor) -> Outcome:
        """The outcome once all periodic actors have run until they change nothing, with the others' responses."""
        periodic = [number for number, actor in enumerate(self.actors) if actor.periodic]
        outcome = self._outcome(executor, self.database.contents(self._touched))
        for _ in range(_MOST_ROUNDS if periodic else 0):
            self._run(periodic, SerialScheduler([self.names[number] for number in periodic]))
            before, outcome = outcome, self._outcome(executor, self.database.contents(self._touched))
            if outcome == before:
                break
        kept = tuple("" if self.actors[number].periodic else text for number, text in enumerate(outcome.responses))
        return Outcome(kept, outcome.tables)

    def _outcome(self, executor: ScheduleExecutor, contents: Mapping[str, Any]) -> Outcome:
        tables = {table: self._normalize(table, rows) for table, rows in sorted(contents.items())}
        changed = tuple((table, rows) for table, rows in tables.items() if rows != self._starting_rows[table])
        return Outcome(tuple(responses(executor).values()), changed)
