"""What must hold after every schedule, whatever the order.

    deadlock            the server never had to end a transaction for waiting in a circle, even if a retry hides it
    error               no actor ends with an error that its process does not answer for
    duplicate           a missed deadline makes one callback's trigger; a trigger has one live owner
    false_success       who was told that a state is stored finds it stored, or moved on by somebody who may
    illegal_transition  a task instance's state only changes as one of the operations may change it
    lost_update         what every actor was told, with what is stored, is what some order of the actors one after the
                        other gives: nothing that one did is overwritten by another that has not seen it

The last is serializability, asked of the outcome; of each row by itself where an operation of the pair decides each row
by itself and may skip locked ones. It compares all tables that were written, without times and without
numbers that depend on the order. Orders one after the other are the search's own first schedules.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_stress_explore.compare import comparable
from airflow_stress_explore.engine import Engine
from airflow_stress_explore.world import Operation, Told, World

DEADLOCK = "40P01"


@dataclass(frozen=True)
class Failure:
    """One violated invariant."""

    invariant: str
    detail: str


@dataclass(frozen=True)
class Outcome:
    """What a schedule came to, comparable with others."""

    told: tuple[str, ...]
    tables: tuple[tuple[str, tuple[str, ...]], ...]


def outcome(
    engine: Engine, contents: Mapping[str, Any], fixed: frozenset[str], starting: Mapping[str, tuple[str, ...]]
) -> Outcome:
    """Of a schedule that has ended: what was told, and the tables that are not as they were."""
    told = tuple(answers(engine).values())
    tables = {table: tuple(comparable(rows, fixed)) for table, rows in sorted(contents.items())}
    return Outcome(told, tuple((table, rows) for table, rows in tables.items() if rows != starting[table]))


def answers(engine: Engine) -> dict[str, str]:
    """What each actor was told in the end, or what it failed with."""
    return {actor.name: _told(actor.value, actor.error) for actor in engine.actors}


def _told(value: Any, error: BaseException | None) -> str:
    return type(error).__name__ if error is not None else value.answer if isinstance(value, Told) else str(value)


def check(
    engine: Engine,
    world: World,
    operations: Sequence[Operation],
    contents: Mapping[str, Any],
    moves: Iterable[tuple[str, str, str]],
) -> list[Failure]:
    """All but `lost_update`. `moves`: what happened to task instances' states: id, from, to."""
    failures = [
        Failure("deadlock", f"{error.actor}: {' '.join(error.text.split())}")
        for error in engine.errors
        if error.sqlstate == DEADLOCK
    ]
    for actor in engine.actors:
        if actor.error is not None and not (failures and _is_database_error(actor.error)):
            failures.append(Failure("error", f"{actor.name}: {type(actor.error).__name__}: {_short(actor.error)}"))
    failures += _duplicates(engine, world, contents)
    legal = {move for operation in operations for move in operation.moves}
    for instance, before, after in moves:
        if not any(b in ("*", before) and a == after for b, a in legal):
            failures.append(Failure("illegal_transition", f"task instance {instance[-12:]}: {before} -> {after}"))
    failures += _false_successes(engine, contents, legal)
    return failures


def _is_database_error(error: BaseException) -> bool:
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, SQLAlchemyError)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _duplicates(engine: Engine, world: World, contents: Mapping[str, Any]) -> list[Failure]:
    found = []
    deadlines = world.facts.get("deadlines", 0)
    if "trigger" in contents and deadlines and not world.facts.get("task_triggers"):
        triggers = [row for row in contents["trigger"] if "task" not in row["classpath"]]
        if len(triggers) > deadlines:
            found.append(Failure("duplicate", f"{len(triggers)} callback triggers for {deadlines} missed deadline"))
    owners: dict[str, list[str]] = {}
    for actor in engine.actors:
        for owned in actor.value.owned if isinstance(actor.value, Told) else ():
            owners.setdefault(owned, []).append(actor.name)
    for owned, names in owners.items():
        if len(names) > 1:
            found.append(Failure("duplicate", f"{' and '.join(names)} both run {owned}"))
    return found


def _false_successes(engine: Engine, contents: Mapping[str, Any], legal: Iterable[tuple[str, str]]) -> list[Failure]:
    stored = {str(row["id"]): row["state"] or "none" for row in contents.get("task_instance", [])}
    found = []
    for actor in engine.actors:
        for instance, believed in actor.value.claims if isinstance(actor.value, Told) else ():
            state = stored.get(instance, believed)
            if state != believed and not any(b in ("*", believed) and a == state for b, a in legal):
                found.append(
                    Failure(
                        "false_success",
                        f"{actor.name} was answered {actor.value.answer} for {believed}, and {state} is stored",
                    )
                )
    return found


def lost_update(found: Outcome, one_by_one: Sequence[Outcome]) -> list[Failure]:
    """Whether the outcome is none of those that the actors have one after the other."""
    if not one_by_one or found in one_by_one:
        return []
    nearest = min(one_by_one, key=lambda outcome: len(_differences(found, outcome)))
    return [
        Failure(
            "lost_update", "not as in any order one after the other: " + "; ".join(_differences(found, nearest)[:6])
        )
    ]


def each_row_as_in_some_order(
    found: Outcome, one_by_one: Sequence[Outcome], starting: Mapping[str, tuple[str, ...]]
) -> bool:
    """Whether each row and each answer is as in some order of the actors, not all of them as in the same.

    For operations that decide each row by itself. A row that mixes what two actors stored is in no order, nor is a row
    too many or too few. `starting`: the rows of tables that an outcome leaves out, because they are as they were.
    """
    if any(told not in {each.told[actor] for each in one_by_one} for actor, told in enumerate(found.told)):
        return False
    mine, orders = dict(found.tables), [dict(each.tables) for each in one_by_one]
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
        f"actor {number + 1} was told {told!r}, not {other!r}"
        for number, (told, other) in enumerate(zip(found.told, expected.told, strict=True))
        if told != other
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
    import json

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
