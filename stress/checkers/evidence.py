"""Tables that witnesses of several races show."""

from __future__ import annotations

import math
from collections.abc import Collection

from stress import events
from stress.checkers.view import BlockView
from stress.results import WitnessTable

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


def clock(view: BlockView, t: float) -> str:
    """A unix time as seconds of load: `20.000 s`."""
    return f"{view.at_s(t):.3f} s"
