"""Duplicate deadline callbacks: a missed deadline whose callback ran more than once is one incident.

Executions are counted by the callback's own receipts, never by log lines. The trigger of each execution distinguishes
the causes: two triggers for one deadline were made by two schedulers, two executions of one trigger by two
triggerers. A synchronous callback runs in no trigger: the executors of two schedulers were given it
(`two_executors`). Opportunities are the missed deadlines whose callback ran at least once: one that never ran could
not run twice. A low number of them is harm (`lost_callback`), not blindness.

Under faults there are two more causes. A fault hit the triggerer that ran the callback (or was about to), Airflow
considered it dead and reassigned its trigger, and the callback ran again. A matching fault and the time between the
executions show this: two triggerers that take one trigger do so within one second, the interval of their loops, while
the trigger of a silent triggerer is not taken for `TAKEN_OVER_S`.

- `not_stored`: the first execution began, and its triggerer was killed, silenced or lost its database sessions within
  `STORES_S`, before it could store the success; then the callback ran elsewhere. An execution and its record are in two
  systems, so that with any fix the next owner cannot know of the first execution. It is **excused**: shown with its
  witness, and not counted against an arm.
- `reassigned`: every other execution that changed hands under a fault, for example one that a woken triggerer started
  after its trigger had been reassigned. A fix can prevent it (by checking the owner), so it is an incident.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from stress import events
from stress.checkers.evidence import clock, faults_table, owners_table
from stress.checkers.view import BlockView, FaultSpan
from stress.components import role_of
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "duplicate_callback"

SCHEDULERS = "two_schedulers"
TRIGGERERS = "two_triggerers"
BOTH = "two_schedulers_and_two_triggerers"
EXECUTORS = "two_executors"
REASSIGNED = "reassigned"
NOT_STORED = "not_stored"
CAUSES = (SCHEDULERS, TRIGGERERS, BOTH, EXECUTORS, REASSIGNED)
EXCUSED = (NOT_STORED,)

STORES_S = 5.0
"""Seconds within which a callback that has begun ends and its success is stored: the callback itself takes 1.5 s, its
event waits for the supervisor's next loop. A triggerer that is hit later than that had enough time."""

TAKEN_OVER_S = 4.0
"""Seconds that a triggerer must have been silent before another may take its triggers: below any health threshold that
runs are configured with, above what separates two triggerers that both take a trigger at once."""

HANDED_OVER_S = 1.0
"""Seconds after which another triggerer may run the triggers that an ending one released: the others look once a
second. Two triggerers that take a trigger at once run it closer together."""

ENDS_WITHIN_S = 20.0
"""Seconds that a triggerer needs at most to end after a fault that ends it slowly, pauses of it not counted: its
supervisor records its end in the database, and then waits for its runner."""

_SILENCING = frozenset({"pause", "cutoff", "postgres"})
_ENDS_SLOWLY = frozenset({"restart", "sessions", "postgres"})
"""Faults under which a triggerer's supervisor ends, some time before its process."""
_LEAVES_NO_CHANCE = frozenset({"kill", "sessions"})
"""Faults that end a triggerer before it can store anything. One that is asked to end could finish its callbacks."""
_WAKES_S = 1.0


def check(view: BlockView) -> BlockCheck:
    """Count missed deadlines and those whose callback ran more than once."""
    blind = list(view.blind("receipts", "database"))
    executions: dict[str, list[events.CallbackExecuted]] = defaultdict(list)
    for _, event in view.all(events.CallbackExecuted):
        executions[event.deadline].append(event)
    counted = view.last(events.DeadlinesMissed)
    missed = set(counted.deadlines) if counted is not None else set()
    if view.last(events.BlockEnded) is not None:
        if counted is None:
            blind.append(f"block {view.block}: the missed deadlines were not counted")
        elif missed and not executions and _receipts_unseen(view):
            blind.append(f"block {view.block}: {len(missed)} deadlines were missed and no callback left a receipt")
    found = [
        _incident(view, deadline, sorted(runs, key=lambda run: run.at))
        for deadline, runs in executions.items()
        if len(runs) > 1
    ]
    return BlockCheck(
        RACE,
        view.block,
        view.arm,
        tuple(incident for incident in found if incident.cause not in EXCUSED),
        len(executions),
        view.load_s,
        tuple(blind),
        tuple(incident for incident in found if incident.cause in EXCUSED),
    )


def _receipts_unseen(view: BlockView) -> bool:
    """Whether callbacks ran, by the database, though none left a receipt; true if that was not queried."""
    passed = view.last(events.DeadlinesPassed)
    return passed is None or any(deadline.state == "success" for deadline in passed.deadlines)


def cause_of(view: BlockView, runs: list[events.CallbackExecuted]) -> str:
    """Which of the causes explains these executions of one deadline's callback, by time."""
    if all(run.trigger is None and role_of(run.component) == "scheduler" for run in runs):
        return EXECUTORS
    triggers = {run.trigger for run in runs}
    if len(triggers) == len(runs):
        return SCHEDULERS
    repeated = [
        (first, second)
        for trigger in triggers
        for first, second in pairwise([run for run in runs if run.trigger == trigger])
    ]
    if len(triggers) > 1:
        return BOTH
    if not all(_taken_over(view, first, second) for first, second in repeated):
        return TRIGGERERS
    return NOT_STORED if all(_not_stored(view, first, second) for first, second in repeated) else REASSIGNED


def _taken_over(view: BlockView, first: events.CallbackExecuted, second: events.CallbackExecuted) -> bool:
    """Whether a fault explains that a trigger ran a second time.

    Either the first triggerer ended between the two, under a fault, or was ending then; or one of the two was silent
    for long enough to be considered dead, and one of the executions was then or when it woke up.
    """
    for fault in view.faults:
        if fault.hits(first.component) and fault.start <= second.at:
            if any(max(first.at, fault.start) <= t <= second.at for t in _exits(view, first.component)):
                return True
            if second.at - first.at >= HANDED_OVER_S and _ends_slowly(view, fault, first):
                return True
        hit = fault.hits(first.component) or fault.hits(second.component)
        silent_s = min(second.at, fault.end) - fault.start if fault.fault in _SILENCING else 0.0
        if hit and silent_s >= TAKEN_OVER_S and first.at <= fault.end + _WAKES_S:
            return True
    return False


def _not_stored(view: BlockView, first: events.CallbackExecuted, second: events.CallbackExecuted) -> bool:
    """Whether the first triggerer was killed or silenced after it had begun and before it could store the success.

    The second execution must be in another process: a triggerer that was silenced, woke up and ran the same trigger
    again has its own record of it.
    """
    if (first.component, first.pid) == (second.component, second.pid):
        return False
    for fault in view.faults:
        if not fault.hits(first.component) or fault.start > first.at + STORES_S or fault.end < first.at:
            continue
        if fault.start <= first.at:
            # Began while it was cut off or the database was away: it could not store anything until the end.
            if fault.fault in _SILENCING and fault.fault != "pause":
                return True
            continue
        ended = any(fault.start <= t <= second.at for t in _exits(view, first.component))
        if fault.fault in _SILENCING:
            return True
        if fault.fault in _LEAVES_NO_CHANCE and (ended or _ends_slowly(view, fault, first)):
            return True
    return False


def _exits(view: BlockView, component: str) -> Iterator[float]:
    """When processes of a component ended."""
    return (t for t, event in view.all(events.ComponentExited) if event.component == component)


def _ends_slowly(view: BlockView, fault: FaultSpan, run: events.CallbackExecuted) -> bool:
    """Whether the process that ran a callback ended because of this fault, however late its exit was seen."""
    ended = min((t for t in _exits(view, run.component) if t >= max(run.at, fault.start)), default=None)
    if fault.fault not in _ENDS_SLOWLY or ended is None:
        return False
    pauses = (each for each in view.faults if each.fault == "pause" and each.target == run.component)
    paused_s = sum(max(0.0, min(each.end, ended) - max(each.start, fault.start)) for each in pauses)
    return ended - fault.start - paused_s <= ENDS_WITHIN_S


def _incident(view: BlockView, deadline: str, runs: list[events.CallbackExecuted]) -> Incident:
    cause = cause_of(view, runs)
    triggers = {run.trigger for run in runs}
    rows = tuple((clock(view, run.at), str(run.trigger), run.component, str(run.pid)) for run in runs)
    tables = (
        WitnessTable("Receipts of the callback", ("time of load", "trigger", "component", "process"), rows),
        *owners_table(view, triggers),
        *faults_table(view, runs[-1].at),
    )
    where = "by executors" if cause == EXECUTORS else f"in {len(triggers)} trigger(s)"
    headline = f"the callback of deadline {deadline} ran {len(runs)} times, {where}"
    if cause in (REASSIGNED, NOT_STORED):
        headline += ", which changed hands under a fault"
    if cause == NOT_STORED:
        headline += " that hit its triggerer before it could store the success"
    return Incident(RACE, view.block, view.arm, view.at_s(runs[1].at), cause, cause, Witness(headline, tables))
