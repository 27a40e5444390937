"""Lost callbacks: a deadline that passed and whose callback never ran, after every fault was healed, is one incident.

Late is not lost. A block settles until no deadline and no callback is pending, or until none of them has changed for
longer than Airflow's recovery takes by its configuration (`settling.py`). An incident is a callback that stood still
for so long, or that never ran though nothing is pending. If the settling reached its time limit before that, the block
is blind.

Its own receipt shows whether a callback ran. The remaining rows show where it was lost:

=======================  =========================================================================================
`never_handled`          the deadline passed, and no scheduler marked it as missed
`no_trigger`             a scheduler handled it; its callback has not ended, and no trigger is there to run it
`unassigned`             its trigger has no owner
`owner_dead`             its trigger is owned by a triggerer that has ended or sends no heartbeats, and stays with it
`owned_not_run`          its trigger is owned by a triggerer that lives, and does not run it
`ended_without_receipt`  its row says that the callback ended; it left no receipt
=======================  =========================================================================================

Opportunities are the deadlines that passed before the last look, whether a scheduler handled them or not; while
something still waits, those that passed long enough before.
"""

from __future__ import annotations

from stress import events
from stress.checkers.evidence import clock, faults_table, owners_table
from stress.checkers.view import BlockView
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "lost_callback"

NEVER_HANDLED = "never_handled"
NO_TRIGGER = "no_trigger"
UNASSIGNED = "unassigned"
OWNER_DEAD = "owner_dead"
OWNED_NOT_RUN = "owned_not_run"
ENDED = "ended_without_receipt"
CAUSES = (NEVER_HANDLED, NO_TRIGGER, UNASSIGNED, OWNER_DEAD, OWNED_NOT_RUN, ENDED)

SILENT_S = 30.0
"""Seconds without a heartbeat after which an owner counts as dead: Airflow's default threshold, above a run's own."""

LOOK_S = 3.0
"""Between the last look at pending work and the last look of all; `aftermath.DUE_SOON_S` is above it."""

_ENDED_STATES = ("success", "failed")
_WORDS = {
    NEVER_HANDLED: "no scheduler has handled it",
    NO_TRIGGER: "it was handled, but there is no trigger to run the callback",
    UNASSIGNED: "its trigger belongs to no triggerer",
    OWNER_DEAD: "its trigger stays with a triggerer that is dead",
    OWNED_NOT_RUN: "the triggerer that owns its trigger lives, and does not run it",
    ENDED: "its row says that it ended",
}


def check(view: BlockView) -> BlockCheck:
    """Count the deadlines of one block that passed, and those whose callback never ran."""
    blind = list(view.blind("receipts", "database"))
    ran = {event.deadline for _, event in view.all(events.CallbackExecuted)}
    looks = list(view.all(events.DeadlinesPassed))
    settled = view.last(events.BlockSettled)
    if not looks or settled is None:
        if view.last(events.BlockEnded) is not None:
            blind.append(f"block {view.block}: the deadlines that passed were not counted")
        return BlockCheck(RACE, view.block, view.arm, (), len(ran), view.load_s, tuple(blind))
    looked_at, look = looks[-1]
    # If nothing is pending, nothing can be late, except for deadlines of the settling's last moments.
    needed_s = settled.callbacks_needed_s if settled.callbacks else LOOK_S
    passed = [deadline for deadline in look.deadlines if looked_at - deadline.due_at >= needed_s]
    missing = [deadline for deadline in passed if deadline.id not in ran]
    if not ran and any(deadline.state == "success" for deadline in missing):
        blind.append(f"block {view.block}: callbacks succeeded, by the database, and none left a receipt")
        missing = []
    if settled.callbacks and settled.callbacks_unchanged_s < settled.callbacks_needed_s:
        waiting = [deadline for deadline in missing if cause_of(deadline) != ENDED]
        if waiting:
            blind.append(
                f"block {view.block}: {len(waiting)} callbacks had not run when the settling time was over, and "
                f"something had changed {settled.callbacks_unchanged_s:.0f} s before, "
                f"where {settled.callbacks_needed_s:.0f} s without a change are needed to distinguish late from lost"
            )
            missing = [deadline for deadline in missing if deadline not in waiting]
    incidents = tuple(_incident(view, deadline, looked_at) for deadline in missing)
    opportunities = len({deadline.id for deadline in passed} | ran)
    return BlockCheck(RACE, view.block, view.arm, incidents, opportunities, view.load_s, tuple(blind))


def cause_of(deadline: events.PassedDeadline) -> str:
    """Where a callback without a receipt was lost, by its remaining rows."""
    if not deadline.handled:
        return NEVER_HANDLED
    if deadline.state in _ENDED_STATES:
        return ENDED
    if deadline.trigger is None or not deadline.trigger_exists:
        return NO_TRIGGER
    if deadline.owner is None:
        return UNASSIGNED
    silent_s = deadline.owner_silent_s
    return OWNER_DEAD if deadline.owner_ended or silent_s is None or silent_s > SILENT_S else OWNED_NOT_RUN


def _incident(view: BlockView, deadline: events.PassedDeadline, looked_at: float) -> Incident:
    cause = cause_of(deadline)
    owner = deadline.owner or "none"
    if deadline.owner_ended:
        owner += ", whose job has ended"
    elif deadline.owner_silent_s is not None:
        owner += f", last heartbeat {deadline.owner_silent_s:.1f} s before"
    missing = "" if deadline.trigger_exists or deadline.trigger is None else ", which has no row"
    rows = (
        (clock(view, deadline.due_at), "the deadline passed"),
        (clock(view, looked_at), f"handled by a scheduler: {'yes' if deadline.handled else 'no'}"),
        (clock(view, looked_at), f"state of the callback: {deadline.state or 'none'}"),
        (clock(view, looked_at), f"trigger: {'none' if deadline.trigger is None else deadline.trigger}{missing}"),
        (clock(view, looked_at), f"owner of the trigger: {owner}"),
    )
    headline = (
        f"deadline {deadline.id} passed {looked_at - deadline.due_at:.0f} s before the end and its callback never ran: "
        f"{_WORDS[cause]}"
    )
    tables = (
        WitnessTable("The deadline in the database", ("time of load", "what"), rows),
        *(owners_table(view, {deadline.trigger}) if deadline.trigger is not None else ()),
        *faults_table(view),
    )
    return Incident(RACE, view.block, view.arm, view.at_s(deadline.due_at), cause, cause, Witness(headline, tables))
