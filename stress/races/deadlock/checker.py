"""Deadlocks: every cycle that PostgreSQL had to break in the block's database is one incident.

The server's log is the only place that has both statements; `pg_stat_database.deadlocks` only counts, and is the
cross-check: if it counts more than the log showed, the log was not seen whole. A server that did not shut down properly
restarts its counter; the earlier count is added.

Its cause is one of `stress/checkers/deadlock_causes.py`.

Opportunities are state updates that workers sent to the Execution API and that got any answer. Real workers' calls are
not observed: there they are the task instances that reached success. A block uses one or the other, and never falls
back from one to the other.
"""

from __future__ import annotations

from stress import events
from stress.checkers.deadlock_causes import cause_of, unlogged
from stress.checkers.evidence import deadlock_witness
from stress.checkers.view import BlockView
from stress.components import role_of
from stress.results import BlockCheck, Incident

RACE = "deadlock"


def check(view: BlockView) -> BlockCheck:
    """Count deadlocks and state updates of one block."""
    hollow = view.took_part("execution_api")
    blind = (*view.blind("postgres_log", "database", *(("execution_api",) if hollow else ())), *unlogged(view))
    incidents = tuple(_incident(view, event) for _, event in view.all(events.DeadlockSeen))
    return BlockCheck(RACE, view.block, view.arm, incidents, _state_updates(view, hollow=hollow), view.load_s, blind)


def _state_updates(view: BlockView, *, hollow: bool) -> int:
    if hollow:
        return sum(e.count for _, e in view.all(events.ApiAnswered) if e.operation == "success" and e.code != 0)
    counted = view.last(events.TasksCounted)
    return counted.by_state.get("success", 0) if counted is not None else 0


def _incident(view: BlockView, event: events.DeadlockSeen) -> Incident:
    signature = " <> ".join(sorted(f"{role_of(side.component)}: {side.signature}" for side in event.sides))
    return Incident(
        RACE, view.block, view.arm, view.at_s(event.at), cause_of(event), signature, deadlock_witness(event)
    )
