"""The pairs of the triggerer's comms, and the reproducers of their races. Data only; the harness reads it, too.

A pair is a line: its callers, each with an operation of `operations.py`, and what their supervisor does.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """A caller of the comms."""

    name: str
    operation: str
    cancellable: bool = False
    """Whether the schedule may cancel it (once, at any of its awaits)."""


class SupervisorEnds(enum.Enum):
    """Whether the supervisor ends."""

    NEVER = "never"
    AT_ANY_TIME = "at any time"
    EVENTUALLY = "eventually"


@dataclass(frozen=True)
class CommsPair:
    """Callers that meet."""

    name: str
    summary: str
    callers: tuple[Caller, ...]
    split_answers: bool = False
    """The supervisor's answers come in two pieces, as big ones do."""
    supervisor_ends: SupervisorEnds = SupervisorEnds.NEVER
    """A request may fail after the supervisor's end, but not wait without end."""
    probe: bool = True
    """Whether the runner asks when all callers are done."""


@dataclass(frozen=True)
class CommsReproducer:
    """A race that occurs every time: a pair, and the schedule in which it does."""

    name: str
    race: str
    summary: str
    releases: tuple[str, ...]
    """The locked releases that have the race on stock."""
    fix: str
    """The fix that removes it alone."""
    pair: CommsPair
    events: tuple[str, ...] = ()
    """Each as soon as nothing else can go on."""
    schedule: str = ""
    """Instead of events, where an event has to come while something else could go on."""


_PAIRS = (
    CommsPair(
        "comms_with_cancellation",
        "the runner's state sync and two callers, one of them cancelled at any of its awaits",
        (Caller("A", "asend, twice"), Caller("B", "asend", cancellable=True), Caller("R", "state sync")),
    ),
    CommsPair(
        "comms_with_cancellation_and_sync",
        "the state sync beside a caller that asks again when it is cancelled",
        (Caller("R", "state sync"), Caller("B", "asend, and again when cancelled", cancellable=True)),
    ),
    CommsPair(
        "comms_with_two_cancellations",
        "the state sync beside two callers, both cancelled",
        (Caller("R", "state sync"), Caller("B", "asend", cancellable=True), Caller("C", "asend", cancellable=True)),
    ),
    CommsPair(
        "comms_with_split_answers",
        "as comms_with_cancellation, with answers that come in two pieces",
        (Caller("A", "asend"), Caller("B", "asend", cancellable=True)),
        split_answers=True,
    ),
    CommsPair(
        "comms_with_sync_to_async",
        "a caller of asend, and one of sync_to_async(send) that is cancelled",
        (Caller("A", "asend"), Caller("B", "sync_to_async(send)", cancellable=True)),
    ),
    CommsPair(
        "comms_with_two_sync_to_async",
        "two callers of sync_to_async(send) in threads, one of them cancelled",
        (
            Caller("B", "sync_to_async(send), any thread", cancellable=True),
            Caller("C", "sync_to_async(send), any thread"),
        ),
    ),
    CommsPair(
        "comms_with_foreign_thread",
        "a caller of asend, and one in a thread that knows no event loop",
        (Caller("A", "asend"), Caller("T", "to_thread(send)")),
    ),
    CommsPair(
        "comms_with_send_on_the_loop",
        "a trigger that calls send in its own coroutine, and one of sync_to_async(send)",
        (Caller("A", "send, on the loop"), Caller("B", "sync_to_async(send)")),
    ),
    CommsPair(
        "comms_with_supervisor_gone",
        "two callers and a supervisor that ends at any time",
        (Caller("A", "asend"), Caller("R", "state sync")),
        supervisor_ends=SupervisorEnds.AT_ANY_TIME,
        probe=False,
    ),
    CommsPair(
        "runner_with_supervisor_gone",
        "the runner's own loop, and a supervisor that ends within its first rounds",
        (Caller("R", "the runner's loop"),),
        supervisor_ends=SupervisorEnds.EVENTUALLY,
        probe=False,
    ),
    CommsPair(
        "process_with_supervisor_gone",
        "the same to its process's end, with a trigger that asks when it is cancelled",
        (Caller("R", "the runner's process"),),
        supervisor_ends=SupervisorEnds.EVENTUALLY,
        probe=False,
    ),
)

_REPRODUCERS = (
    CommsReproducer(
        "out_of_order_frame_cancellation",
        "out_of_order_frame",
        "a caller is cancelled when its request is with the supervisor; then another one asks (#64620)",
        ("3.1.8", "3.2.1"),
        "triggerer_comms",
        CommsPair(
            "out_of_order_frame_cancellation",
            "",
            (Caller("B", "asend", cancellable=True), Caller("A", "asend")),
        ),
        events=("start B", "cancel B", "start A"),
    ),
    CommsReproducer(
        "out_of_order_frame_thread",
        "out_of_order_frame",
        "a plain thread asks, with its own event loop, while a coroutine does",
        ("3.1.8", "3.2.1"),
        "triggerer_comms",
        CommsPair("out_of_order_frame_thread", "", (Caller("T", "to_thread(send)"), Caller("A", "asend"))),
        events=("start T", "start A"),
    ),
    CommsReproducer(
        "orphaned_runner_loop",
        "orphaned_runner",
        "the supervisor ends between the runner's look at its reader and its next request",
        ("3.3.2", "3.4.0b2"),
        "comms_end",
        CommsPair(
            "orphaned_runner_loop",
            "",
            (Caller("R", "the runner's loop"),),
            supervisor_ends=SupervisorEnds.EVENTUALLY,
            probe=False,
        ),
        schedule="B1A1B",
    ),
    CommsReproducer(
        "orphaned_runner_trigger",
        "orphaned_runner",
        "the supervisor ends, the runner notices, and one of its triggers asks when it is cancelled",
        ("3.3.2", "3.4.0b2"),
        "comms_end",
        CommsPair(
            "orphaned_runner_trigger",
            "",
            (Caller("R", "the runner's process"),),
            supervisor_ends=SupervisorEnds.EVENTUALLY,
            probe=False,
        ),
        events=("start R", "supervisor ends"),
    ),
)

PAIRS: dict[str, CommsPair] = {pair.name: pair for pair in _PAIRS}
REPRODUCERS: dict[str, CommsReproducer] = {reproducer.name: reproducer for reproducer in _REPRODUCERS}
