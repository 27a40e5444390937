"""What the run itself counted in a block, by the checkers and measures that it had.

A judge counts anew, by its own rules, from all other events. It falls back to these where its code has no checker of
that race, or no such measure, any more.
"""

from __future__ import annotations

import msgspec

from stress.events.base import Event


class CountedIncident(msgspec.Struct, frozen=True, kw_only=True):
    """One incident: seconds of load before it, its bounded cause, its normalised detail, and a sentence of evidence."""

    at_s: float
    cause: str
    signature: str
    headline: str


class RaceCounted(Event, frozen=True, kw_only=True, tag="race_counted"):
    """One race in the block that has just ended. `blind` is why the counts are lower bounds; empty if they are not."""

    race: str
    incidents: list[CountedIncident]
    opportunities: int
    blind: list[str]


class MeasureCounted(Event, frozen=True, kw_only=True, tag="measure_counted"):
    """One measure of harm or cost in the complete block that has just ended: a quotient of two sums."""

    measure: str
    numerator: float
    denominator: float
