"""A pair made ready to be played any number of times."""

from __future__ import annotations

import functools
import itertools
import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_stress_explore import data, invariants
from airflow_stress_explore.compare import comparable, ids
from airflow_stress_explore.engine import COMMIT, Engine, Policy, Step, listen
from airflow_stress_explore.footprint import Footprint
from airflow_stress_explore.invariants import Failure, Outcome
from airflow_stress_explore.pairs import Pair
from airflow_stress_explore.policies import InOrder
from airflow_stress_explore.reset import Database
from airflow_stress_explore.rows import RowStops, overlap
from airflow_stress_explore.world import OPERATIONS, UnknownInternals, World

_STRANGE = (AttributeError, ImportError, NameError, TypeError, UnknownInternals)
"""Errors of an actor that runs with nobody beside it: no race, but code that the operation was not written for."""

_MOST_ROUNDS = 5
"""How often those that come again do so at most, until they change nothing any more."""

_STATES = "SELECT id::text, coalesce(state, 'none') FROM task_instance"


@dataclass(frozen=True)
class Outcomes:
    """Of one order of the actors."""

    at_once: Outcome
    later: Outcome


def actor_name(number: int) -> str:
    """A, B, C, ..."""
    return chr(ord("A") + number)


class Session:
    """A pair on its database."""

    def __init__(self, pair: Pair, release: str, database: Database) -> None:
        """Make the starting state, and keep it. Raises UnknownInternals for an operation that this release hasn't."""
        from airflow import settings

        import airflow_stress_explore.operations  # noqa: F401 - registers them

        prepare_process()
        _forget_row_stops()
        self.pair = pair
        self.operations = [OPERATIONS[name] for name in pair.operations]
        self.database = database
        database.begin_again()
        self.world: World = data.build(pair.state, release)
        settings.Session.remove()
        self.database.keep()
        everything = self.database.contents(self.database.schema.tables)
        self._fixed = ids(everything)
        self._starting_rows = {table: tuple(comparable(rows, self._fixed)) for table, rows in everything.items()}
        self._starting_states: dict[str, str] = dict(self.database.query(_STATES))
        self._written: set[str] = set()
        self._touched: set[str] = set()
        self._moves: list[tuple[str, str, str]] = []
        self._states: dict[str, str] = {}
        self._rows: RowStops | None = None
        for number, operation in enumerate(self.operations):
            try:
                operation.make(self.world, number)
            except UnknownInternals as unknown:
                raise UnknownInternals(f"{operation.name}: {unknown}") from unknown
        if pair.row_steps:
            self._rows = self._install_row_stops()

    def play(self, policy: Policy, watch: Callable[[Engine, Step], None] | None = None) -> Engine:
        """Run the pair from its starting state under a policy."""
        self.database.restore(self._written, self._rows.tables if self._rows is not None else ())
        self._written = set()
        self._moves = []
        self._states = dict(self._starting_states)
        return self._run(range(len(self.operations)), policy, watch)

    def _run(
        self, numbers: Iterable[int], policy: Policy, watch: Callable[[Engine, Step], None] | None = None
    ) -> Engine:
        work = {
            actor_name(number): (self.operations[number].name, self.operations[number].make(self.world, number))
            for number in numbers
        }

        def each_step(engine: Engine, step: Step) -> None:
            if step.what == COMMIT and "task_instance" in step.touch.footprint.writes:
                self._note_moves()
            if watch is not None:
                watch(engine, step)

        engine = Engine(work, self.database, self.database.schema, each_step, self._rows)
        engine.run(policy)
        self._written |= engine.written
        self._touched |= engine.written
        return engine

    def judge(self, engine: Engine, one_by_one: Sequence[Outcomes] = ()) -> list[Failure]:
        """What a schedule that has ended violates. `one_by_one`: what is right, as `outcomes_one_by_one` gives it."""
        contents = self.database.contents(self._touched)
        failures = invariants.check(engine, self.world, self.operations, contents, self._moves)
        if failures or not one_by_one:
            return failures
        found = self._outcome(engine, contents)
        if found in [outcomes.at_once for outcomes in one_by_one]:
            return []
        # Whoever comes again has time to do what it left undone.
        later = [outcomes.later for outcomes in one_by_one]
        found = self._later(engine)
        by_row = any(operation.row_by_row for operation in self.operations)
        if by_row and invariants.each_row_as_in_some_order(found, later, self._starting_rows):
            return []
        return invariants.lost_update(found, later)

    def _install_row_stops(self) -> RowStops:
        """Between the rows of the tables on which the operations meet, in any order one after the other."""
        touched = [Footprint() for _ in self.operations]
        for order in self._orders():
            engine = self.play(InOrder(order))
            touched = [one.with_(actor.touched) for one, actor in zip(touched, engine.actors, strict=True)]
        rows = RowStops(self.database, overlap(touched) & self.database.schema.tables)
        _installed.append(rows)
        self._written |= rows.tables  # so that their rows lie where they will lie in each schedule
        return rows

    def _orders(self) -> Iterable[tuple[str, ...]]:
        return itertools.permutations(actor_name(number) for number in range(len(self.operations)))

    def outcomes_one_by_one(self) -> list[Outcomes]:
        """The outcomes of the actors one after the other, in each order."""
        found: list[Outcomes] = []
        for order in self._orders():
            engine = self.play(InOrder(order))
            for actor in engine.actors:
                if isinstance(actor.error, _STRANGE):
                    raise UnknownInternals(f"{actor.operation}: {_where(actor.error)}") from actor.error
            at_once = self._outcome(engine, self.database.contents(self._touched))
            found.append(Outcomes(at_once, self._later(engine)))
        return found

    def _later(self, engine: Engine) -> Outcome:
        """The outcome after those that come again have nothing left to do, and what was told to the others."""
        again = [number for number, operation in enumerate(self.operations) if operation.comes_again]
        outcome = self._outcome(engine, self.database.contents(self._touched))
        for _ in range(_MOST_ROUNDS if again else 0):
            self._run(again, InOrder([actor_name(number) for number in again]))
            before, outcome = outcome, self._outcome(engine, self.database.contents(self._touched))
            if outcome == before:
                break
        told = tuple("" if self.operations[number].comes_again else text for number, text in enumerate(outcome.told))
        return Outcome(told, outcome.tables)

    def _outcome(self, engine: Engine, contents: Mapping[str, Any]) -> Outcome:
        return invariants.outcome(engine, contents, self._fixed, self._starting_rows)

    def _note_moves(self) -> None:
        now: dict[str, str] = dict(self.database.query(_STATES))
        for instance, state in now.items():
            before = self._states.get(instance, state)
            if before != state:
                self._moves.append((instance, before, state))
        self._states = now


_installed: list[RowStops] = []
"""Those of the pair that this process played last, if it has any."""


def _forget_row_stops() -> None:
    while _installed:
        _installed.pop().remove()


def _where(error: BaseException) -> str:
    """An error, and the line of Airflow's that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if "airflow_stress_explore" not in frame.filename]
    place = f" (in {theirs[-1].name}, {theirs[-1].filename.rpartition('/')[2]}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{place}"


_URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def use_database(url: str) -> None:
    """Let this process, which is not connected yet, work on another database of the same server."""
    from airflow import settings
    from sqlalchemy import event
    from sqlalchemy.engine import make_url

    os.environ[_URL] = url
    name = make_url(url).database

    def connect(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        parameters.pop("database", None)
        parameters["dbname"] = name

    event.listen(settings.engine, "do_connect", connect)


@functools.cache
def database_of_process() -> Database:
    """The one that the Airflow in this process works on."""
    return Database(os.environ[_URL].replace("postgresql+psycopg2://", "postgresql://"))


@functools.cache
def prepare_process() -> None:
    """Make this process one whose statements stop, and in which nothing waits for time to pass."""
    import sys
    from types import SimpleNamespace

    import tenacity.nap
    from airflow import settings

    listen(settings.engine)
    # Airflow's retries after a database error pause for seconds. The pause is no part of the race: other actors take as
    # many steps as the schedule says meanwhile.
    tenacity.nap.time = SimpleNamespace(sleep=lambda _seconds: None)
    # Two threads run Python only when one was let go by the other's commit; then neither should wait for 5 ms.
    sys.setswitchinterval(0.0005)
