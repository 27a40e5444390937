"""Tables that witnesses of several races show."""

from __future__ import annotations

import math
from collections.abc import Collection

from stress import events
from stress.checkers.view import BlockView
from stress.results import Witness, WitnessTable

_MOST_ROWS = 40


def owners_table(view: BlockView, triggers: Collection[int | None]) -> list[WitnessTable]:
    """Who owned these triggers when, by the database; no table if none was ever seen to."""
    rows = tuple(
        (clock(view, t), str(event.trigger), event.owner or "no owner")
        for t, event in view.all(events.TriggerOwnerChanged)
        if event.trigger in triggers
    )
    return [WitnessTable("Owners in the trigger table", ("time of load", "trigger", "owner"), rows)] if rows else []


def faults_table(view: BlockView, until: float = math.inf) -> list[WitnessTable]:
    """The block's faults that began before the unix time `until`; no table if there were none."""
    rows = tuple(
        (
            clock(view, fault.start),
            clock(view, fault.end) if fault.end < math.inf else "never healed",
            fault.fault,
            fault.target,
            fault.detail,
        )
        for fault in view.faults
        if fault.start <= until
    )
    if not rows:
        return []
    caption = "Faults" if len(rows) <= _MOST_ROWS else f"Faults (last {_MOST_ROWS} of {len(rows)})"
    return [WitnessTable(caption, ("time of load", "healed", "fault", "target", "detail"), rows[-_MOST_ROWS:])]


def deadlock_witness(event: events.DeadlockSeen) -> Witness:
    """The cycle that PostgreSQL broke: each side with the lock that it waited for and its statement."""
    rows = tuple((side.component, str(side.pid), side.waits_for, side.statement) for side in event.sides)
    context = f" {event.context}" if event.context else ""
    return Witness(
        f"PostgreSQL aborted the transaction of {event.victim}{context}",
        (WitnessTable("The cycle", ("component", "server process", "waits for", "statement"), rows),),
    )


def clock(view: BlockView, t: float) -> str:
    """A unix time as seconds of load: `20.000 s`."""
    return f"{view.at_s(t):.3f} s"
