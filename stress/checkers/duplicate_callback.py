"""Duplicate deadline callbacks: a missed deadline whose callback ran more than once is one incident.

Executions are counted by the callback's own receipts, never by log lines. The two causes are told apart by the trigger
that each execution ran in: two triggers for one deadline were made by two schedulers, two executions of one trigger by
two triggerers. Opportunities are the deadlines that were missed, by the database.

Under faults there is a third: a fault hit the triggerer that ran the callback (or was about to), Airflow took it for
dead and gave its trigger away, and the callback ran again. That is an incident like any other ("never twice"), told
apart because what it takes to repair it is another thing: the ownership changed by the rules. It is told by the fault
and by time: two triggerers that take one trigger do so within their loops' second, while nobody takes the trigger of a
triggerer that has fallen silent for `TAKEN_OVER_S`.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from stress import events
from stress.checkers.evidence import clock, faults_table, owners_table
from stress.checkers.view import BlockView
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "duplicate_callback"

SCHEDULERS = "two_schedulers"
TRIGGERERS = "two_triggerers"
BOTH = "two_schedulers_and_two_triggerers"
REASSIGNED = "reassigned"
CAUSES = (SCHEDULERS, TRIGGERERS, BOTH, REASSIGNED)

TAKEN_OVER_S = 4.0
"""Seconds that a triggerer must have been silent before another may take its triggers: below any health threshold that
runs are configured with, above what separates two triggerers that both take a trigger at once."""

_SILENCING = frozenset({"pause", "cutoff", "postgres"})
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
        elif missed and not executions:
            blind.append(f"block {view.block}: {len(missed)} deadlines were missed and no callback left a receipt")
        elif len(missed & executions.keys()) < len(missed) / 2:
            seen = len(missed & executions.keys())
            blind.append(f"block {view.block}: only {seen} of {len(missed)} callbacks of missed deadlines had run")
    incidents = tuple(
        _incident(view, deadline, sorted(runs, key=lambda run: run.at))
        for deadline, runs in executions.items()
        if len(runs) > 1
    )
    opportunities = len(missed | executions.keys())
    return BlockCheck(RACE, view.block, view.arm, incidents, opportunities, view.load_s, tuple(blind))


def cause_of(view: BlockView, runs: list[events.CallbackExecuted]) -> str:
    """Which of the causes (or both of the first two) explains these executions of one deadline's callback, by time."""
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
    return REASSIGNED if all(_taken_over(view, first, second) for first, second in repeated) else TRIGGERERS


def _taken_over(view: BlockView, first: events.CallbackExecuted, second: events.CallbackExecuted) -> bool:
    """Whether a fault explains that a trigger ran a second time.

    Either the first triggerer ended between the two, under a fault; or one of the two was silent for long enough to be
    taken for dead, and one of the executions came then or when it woke up.
    """
    for fault in view.faults:
        if fault.hits(first.component) and fault.start <= second.at:
            exits = (t for t, event in view.all(events.ComponentExited) if event.component == first.component)
            if any(max(first.at, fault.start) <= t <= second.at for t in exits):
                return True
        hit = fault.hits(first.component) or fault.hits(second.component)
        silent_s = min(second.at, fault.end) - fault.start if fault.fault in _SILENCING else 0.0
        if hit and silent_s >= TAKEN_OVER_S and first.at <= fault.end + _WAKES_S:
            return True
    return False


def _incident(view: BlockView, deadline: str, runs: list[events.CallbackExecuted]) -> Incident:
    cause = cause_of(view, runs)
    triggers = {run.trigger for run in runs}
    rows = tuple((clock(view, run.at), str(run.trigger), run.component, str(run.pid)) for run in runs)
    tables = (
        WitnessTable("Receipts of the callback", ("time of load", "trigger", "triggerer", "process"), rows),
        *owners_table(view, triggers),
        *faults_table(view, runs[-1].at),
    )
    headline = f"the callback of deadline {deadline} ran {len(runs)} times, in {len(triggers)} trigger(s)"
    if cause == REASSIGNED:
        headline += ", which changed hands under a fault"
    return Incident(RACE, view.block, view.arm, view.at_s(runs[1].at), cause, cause, Witness(headline, tables))
