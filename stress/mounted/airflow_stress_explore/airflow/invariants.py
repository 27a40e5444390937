"""What must hold in Airflow after every schedule, besides the invariants of `sql/invariants.py`.

duplicate           a missed deadline makes one callback's trigger; a trigger has one live owner
illegal_transition  a task instance's state only changes as one of the operations may change it
archived_change     an attempt that was archived keeps its state, and stays archived
false_success       a caller that got the answer that a state is stored finds it stored, or changed by an operation
                    that may change it

`rules.py` has those of runs, backfills and callbacks.

Until 3.3 a clear, a retry or an adoption gives the task instance's row a new id, and the old id is gone. From 3.4 on
the old row stays, as an archived attempt (`working_set` is NULL), and a new row is its successor. Archiving stores
`failed` over a state that is not final (`TaskInstance.archive`): that is no transition, but the end of the attempt. A
final state is kept, so a caller that was answered that it is stored must still find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_stress_explore.airflow import rules
from airflow_stress_explore.airflow.operation import Fixture, Operation, Response
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.sql.testbed import Execution

ARCHIVED = "archived "
"""Before the state of an archived attempt, in what `STATES` finds."""

STATES = """
    SELECT id::text,
           CASE WHEN to_jsonb(t) -> 'working_set' = 'null' THEN 'archived ' ELSE '' END || coalesce(state, 'none')
      FROM task_instance t
"""
"""The state of each task instance; through JSON, because releases until 3.3 have no such column."""

_FINAL = ("success", "failed")
"""Final states that a caller claims."""


def check(
    played: Execution, fixture: Fixture, operations: Sequence[Operation], changes: Iterable[tuple[str, str, str]]
) -> list[Failure]:
    """All of them. `changes`: of task instances' states: id, from, to."""
    failures = _duplicates(played, fixture)
    legal = {transition for operation in operations for transition in operation.allowed_transitions}
    for instance, before, after in changes:
        if before.startswith(ARCHIVED):
            failures.append(Failure("archived_change", f"task instance {instance[-12:]}: {before} -> {after}"))
        elif not after.startswith(ARCHIVED) and not any(b in ("*", before) and a == after for b, a in legal):
            failures.append(Failure("illegal_transition", f"task instance {instance[-12:]}: {before} -> {after}"))
    failures += _false_successes(played, legal)
    failures += rules.check(played, fixture)
    return failures


def _duplicates(played: Execution, fixture: Fixture) -> list[Failure]:
    found = []
    deadlines = fixture.facts.get("deadlines", 0)
    if "trigger" in played.committed and deadlines and not fixture.facts.get("task_triggers"):
        triggers = [row for row in played.committed["trigger"] if "task" not in row["classpath"]]
        if len(triggers) > deadlines:
            found.append(Failure("duplicate", f"{len(triggers)} callback triggers for {deadlines} missed deadline"))
    owners: dict[str, list[str]] = {}
    for actor in played.executor.actors:
        for owned in actor.value.owned if isinstance(actor.value, Response) else ():
            owners.setdefault(owned, []).append(actor.name)
    for owned, names in owners.items():
        if len(names) > 1:
            found.append(Failure("duplicate", f"{' and '.join(names)} both run {owned}"))
    return found


def _false_successes(played: Execution, legal: Iterable[tuple[str, str]]) -> list[Failure]:
    tables = ("task_instance", "callback")
    rows = {str(row["id"]): row for table in tables for row in played.committed.get(table, [])}
    found = []
    for actor in played.executor.actors:
        for instance, believed in actor.value.claims if isinstance(actor.value, Response) else ():
            row = rows.get(instance)
            if row is None or (believed not in _FINAL and row.get("working_set", True) is None):
                continue
            state = row["state"] or "none"
            if state != believed and not any(b in ("*", believed) and a == state for b, a in legal):
                found.append(
                    Failure(
                        "false_success",
                        f"{actor.name} was answered {actor.value.answer} for {believed}, and {state} is stored",
                    )
                )
    return found
