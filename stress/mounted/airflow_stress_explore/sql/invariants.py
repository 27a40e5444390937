"""What must hold after every schedule, in any order.

    deadlock     the server never had to end a transaction because of a deadlock, even if a retry hides it
    error        no actor ends with an exception
    lost_update  the responses of all actors, with what is stored, are those of some serial order of the actors: nothing
                 that one did is overwritten by another that has not seen it. An actor whose process has crashed has no
                 response: what it has left must be nothing, all that it does, or what periodic actors complete

The last is serializability, asked of the outcome; of each row by itself where an actor decides each row by itself and
may skip locked ones. It compares all tables that were written, as `normalize.py` makes them comparable.
"""

from __future__ import annotations

import functools
import json
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.sql.actors import DEADLOCK, Crashed
from airflow_stress_explore.sql.executor import ScheduleExecutor

CRASHED = Crashed.__name__
"""The response of an actor whose process has ended."""


@dataclass(frozen=True)
class Outcome:
    """What a schedule came to, comparable with others."""

    responses: tuple[str, ...]
    tables: tuple[tuple[str, tuple[str, ...]], ...]
    """Those that changed."""

    def is_as(self, other: Outcome) -> bool:
        """Whether it is the same as another one. A crashed actor has no response to compare."""
        pairs = zip(self.responses, other.responses, strict=True)
        return self.tables == other.tables and all(mine in (theirs, CRASHED) for mine, theirs in pairs)


def responses(executor: ScheduleExecutor) -> dict[str, str]:
    """What each actor returned, or the class of the exception that it ended with."""
    return {
        actor.name: type(actor.error).__name__ if actor.error is not None else str(actor.value)
        for actor in executor.actors
    }


def deadlocks_and_errors(executor: ScheduleExecutor) -> list[Failure]:
    """The invariants `deadlock` and `error`. A database error of an actor that a deadlock explains is not counted."""
    failures = [
        Failure("deadlock", f"{error.actor}: {' '.join(error.text.split())}")
        for error in executor.errors
        if error.sqlstate == DEADLOCK
    ]
    for actor in executor.actors:
        if isinstance(actor.error, Crashed):
            continue
        if actor.error is not None and not (failures and _is_database_error(actor.error)):
            failures.append(Failure("error", f"{actor.name}: {type(actor.error).__name__}: {_short(actor.error)}"))
    return failures


def _is_database_error(error: BaseException) -> bool:
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, SQLAlchemyError)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def lost_update(found: Outcome, serial: Sequence[Outcome]) -> list[Failure]:
    """A failure if the outcome is that of no serial order of the actors."""
    if not serial or any(found.is_as(outcome) for outcome in serial):
        return []
    nearest = min(serial, key=lambda outcome: len(_differences(found, outcome)))
    return [
        Failure(
            "lost_update", "not as in any order one after the other: " + "; ".join(_differences(found, nearest)[:6])
        )
    ]


def each_row_as_in_some_order(
    found: Outcome, serial: Sequence[Outcome], starting: Mapping[str, tuple[str, ...]]
) -> bool:
    """Whether each row and each response is that of some serial order, not all of them of the same one.

    For operations that decide each row by itself. A row that mixes what two actors stored is of no order, nor is a row
    too many or too few. `starting`: the rows of tables that an outcome leaves out, because they did not change.
    """
    if any(
        got not in {CRASHED, *(each.responses[actor] for each in serial)} for actor, got in enumerate(found.responses)
    ):
        return False
    mine, orders = dict(found.tables), [dict(each.tables) for each in serial]
    for table in mine.keys() | {name for order in orders for name in order}:
        rows = Counter(mine.get(table, starting[table]))
        possible = [Counter(order.get(table, starting[table])) for order in orders]
        sizes = [each.total() for each in possible]
        most = functools.reduce(operator.or_, possible)
        if not min(sizes) <= rows.total() <= max(sizes) or rows - most:
            return False
    return True


def _differences(found: Outcome, expected: Outcome) -> list[str]:
    lines = [
        f"actor {number + 1} got the answer {got!r}, not {other!r}"
        for number, (got, other) in enumerate(zip(found.responses, expected.responses, strict=True))
        if got not in (other, CRASHED)
    ]
    mine, others = dict(found.tables), dict(expected.tables)
    for table in sorted(mine.keys() | others.keys()):
        if mine.get(table) != others.get(table):
            if table in mine and table in others:
                lines += [f"{table}: {line}" for line in _row_differences(mine[table], others[table])]
            else:
                lines.append(f"{table} is {'changed' if table in mine else 'unchanged'}")
    return lines


def _row_differences(rows: Sequence[str], expected: Sequence[str]) -> list[str]:
    more = [row for row in rows if row not in expected]
    less = [row for row in expected if row not in rows]
    lines = []
    for one, other in zip(more, less, strict=False):
        a, b = json.loads(one), json.loads(other)
        changed = {name: (a[name], b.get(name)) for name in a if a[name] != b.get(name)}
        lines.append(", ".join(f"{name} is {_brief(x)}, not {_brief(y)}" for name, (x, y) in changed.items()))
    lines += [f"a row more: {_brief(row)}" for row in more[len(less) :]]
    lines += [f"a row less: {_brief(row)}" for row in less[len(more) :]]
    return lines or [f"{len(rows)} rows, not {len(expected)}"]


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
