"""Duplicate deadline callbacks: a missed deadline whose callback ran more than once is one incident.

Executions are counted by the callback's own receipts, never by log lines. The two causes are told apart by the trigger
that each execution ran in: two triggers for one deadline were made by two schedulers, two executions of one trigger by
two triggerers. Opportunities are the deadlines that were missed, by the database.
"""

from __future__ import annotations

from collections import defaultdict

from stress import events
from stress.checkers.view import BlockView
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "duplicate_callback"

SCHEDULERS = "two_schedulers"
TRIGGERERS = "two_triggerers"
BOTH = "two_schedulers_and_two_triggerers"
CAUSES = (SCHEDULERS, TRIGGERERS, BOTH)


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


def cause_of(runs: list[events.CallbackExecuted]) -> str:
    """Which of the two causes (or both) explains these executions of one deadline's callback."""
    triggers = {run.trigger for run in runs}
    if len(triggers) == 1:
        return TRIGGERERS
    return SCHEDULERS if len(triggers) == len(runs) else BOTH


def _incident(view: BlockView, deadline: str, runs: list[events.CallbackExecuted]) -> Incident:
    cause = cause_of(runs)
    triggers = {run.trigger for run in runs}
    rows = tuple((f"{view.at_s(run.at):.3f} s", str(run.trigger), run.component, str(run.pid)) for run in runs)
    tables = [WitnessTable("Receipts of the callback", ("time of load", "trigger", "triggerer", "process"), rows)]
    owners = tuple(
        (f"{view.at_s(t):.3f} s", str(event.trigger), event.owner or "nobody")
        for t, event in view.all(events.TriggerOwnerChanged)
        if event.trigger in triggers
    )
    if owners:
        tables.append(WitnessTable("Owners in the trigger table", ("time of load", "trigger", "owner"), owners))
    headline = f"the callback of deadline {deadline} ran {len(runs)} times, in {len(triggers)} trigger(s)"
    return Incident(RACE, view.block, view.arm, view.at_s(runs[1].at), cause, cause, Witness(headline, tuple(tables)))
