"""What there is to reproduce and to explore: the database's pairs and twins, and the coroutines'.

The database's are data that this process can read; the coroutines' stand beside code that needs a release's
environment, so that their names are repeated here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from stress.layout import MOUNTED

if str(MOUNTED) not in sys.path:
    sys.path.append(str(MOUNTED))

from airflow_stress_explore import pairs as database_pairs
from airflow_stress_explore import twins as database_twins

LOCKED = ("3.1.8", "3.2.1", "3.3.2")


@dataclass(frozen=True)
class Race:
    """A twin as the harness sees it."""

    name: str
    race: str
    summary: str
    coroutines: bool
    releases: tuple[str, ...]
    """The locked releases that are known to have it."""

    fix: str
    """The fix that removes it alone."""


@dataclass(frozen=True)
class Searchable:
    """A pair as the harness sees it."""

    name: str
    summary: str
    coroutines: bool


COROUTINE_RACES = (
    Race(
        "out_of_order_frame_cancellation",
        "out_of_order_frame",
        "a caller is cancelled when its request is with the supervisor; then another one asks (#64620)",
        coroutines=True,
        releases=("3.1.8", "3.2.1"),
        fix="triggerer_comms",
    ),
    Race(
        "out_of_order_frame_thread",
        "out_of_order_frame",
        "a plain thread asks, with an event loop of its own, while a coroutine does",
        coroutines=True,
        releases=("3.1.8", "3.2.1"),
        fix="triggerer_comms",
    ),
    Race(
        "orphaned_runner_loop",
        "orphaned_runner",
        "the supervisor ends between the runner's look at its reader and its next request",
        coroutines=True,
        releases=("3.3.2",),
        fix="comms_end",
    ),
    Race(
        "orphaned_runner_trigger",
        "orphaned_runner",
        "the supervisor ends, the runner notices, and one of its triggers asks when it is cancelled",
        coroutines=True,
        releases=("3.3.2",),
        fix="comms_end",
    ),
)

COROUTINE_PAIRS = {
    "comms_with_cancellation": "the runner's state sync and two callers, one of them cancelled at any of its awaits",
    "comms_with_cancellation_and_sync": "the state sync beside a caller that asks again when it is cancelled",
    "comms_with_two_cancellations": "the state sync beside two callers, both cancelled",
    "comms_with_split_answers": "as comms_with_cancellation, with answers that come in two pieces",
    "comms_with_sync_to_async": "a caller of asend, and one of sync_to_async(send) that is cancelled",
    "comms_with_two_sync_to_async": "two callers of sync_to_async(send) in threads, one of them cancelled",
    "comms_with_foreign_thread": "a caller of asend, and one in a thread that knows no event loop",
    "comms_with_send_on_the_loop": "a trigger that calls send in its own coroutine, and one of sync_to_async(send)",
    "comms_with_supervisor_gone": "two callers and a supervisor that ends at any time",
    "runner_with_supervisor_gone": "the runner's own loop, and a supervisor that ends within its first rounds",
    "process_with_supervisor_gone": "the same to its process's end, with a trigger that asks when it is cancelled",
}

RACES: Mapping[str, Race] = {
    race.name: race
    for race in (
        *(Race(t.name, t.race, t.summary, False, t.releases, t.fix) for t in database_twins.TWINS.values()),
        *COROUTINE_RACES,
    )
}

PAIRS: Mapping[str, Searchable] = {
    pair.name: pair
    for pair in (
        *(Searchable(p.name, p.note, False) for p in database_pairs.PAIRS.values()),
        *(Searchable(name, summary, True) for name, summary in COROUTINE_PAIRS.items()),
    )
}


def races_named(name: str) -> tuple[Race, ...]:
    """The twins that a name means: one, or all of a race; none if there is no such name."""
    return tuple(race for race in RACES.values() if name in (race.name, race.race))


def race_names() -> tuple[str, ...]:
    """Everything that `races_named` knows."""
    return tuple(dict.fromkeys(name for race in RACES.values() for name in (race.race, race.name)))
