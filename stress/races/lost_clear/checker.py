"""Clears that were answered as done and whose task never runs: each is one incident.

A clear was answered 2xx and names the task instance; at the end of the block its run has ended as success, and the task
instance has no state. No scheduler looks at a run that has ended, so that the task never runs (cause `ended_run`).

The second start of a task whose clear met its first start is not looked for: the cleared row has another id, and the
first worker is told so at its next heartbeat, which hollow workers do not send.

Opportunities are clears that were answered 2xx, named a task instance, and were made within `NEAR_S` of the report of
the last task of the run: only those can meet its end.
"""

from __future__ import annotations

from stress import events
from stress.checkers.evidence import clock
from stress.checkers.reports import uncounted
from stress.checkers.view import BlockView
from stress.races.lost_clear.scenario import CLEARED
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "lost_clear"

ENDED_RUN = "ended_run"
CAUSES = (ENDED_RUN,)

NEAR_S = 2.0
"""A scheduler ends a run about a second after its last task, on a busy machine."""


def check(view: BlockView) -> BlockCheck:
    """Count clears that were answered as done, and tasks of ended runs that they left without a state."""
    clears = [
        event
        for _, event in view.all(events.RequestAnswered)
        if event.request == "clear_task" and event.dag == CLEARED and 200 <= event.code < 300 and event.changed
    ]
    counted = view.last(events.FiniteTasksCounted)
    left = {
        (task.run, task.task): task
        for task in (counted.unfinished if counted is not None else ())
        if task.dag == CLEARED and task.state == "none" and task.run_state == "success" and not task.earlier_try
    }
    last = {(clear.run, clear.task): clear for clear in clears}
    incidents = tuple(_incident(view, clear, left[key]) for key, clear in last.items() if key in left)
    blind = (*view.blind("load", "execution_api", "database"), *uncounted(view))
    return BlockCheck(RACE, view.block, view.arm, incidents, _near_the_end(view, clears), view.load_s, blind)


def _near_the_end(view: BlockView, clears: list[events.RequestAnswered]) -> int:
    """How many of the clears were made within `NEAR_S` of the report of their run's last task."""
    ended = {
        event.run: event.sent_at
        for _, event in view.all(events.ReportAnswered)
        if event.dag == CLEARED and event.task not in {clear.task for clear in clears}
    }
    return sum(abs(clear.sent_at - ended[clear.run]) <= NEAR_S for clear in clears if clear.run in ended)


def _incident(view: BlockView, clear: events.RequestAnswered, task: events.UnfinishedTask) -> Incident:
    ends = [
        event
        for _, event in view.all(events.ReportAnswered)
        if (event.dag, event.run) == (clear.dag, clear.run) and event.task != clear.task
    ]
    rows = [(each.at, "worker", f"{each.task} reported {each.state}, answered {each.code}") for each in ends]
    rows.append((clear.sent_at, "user", f"asked to clear {clear.task}"))
    rows.append((clear.at, "api-server", f"answered {clear.code}, {clear.changed} task instance(s) cleared"))
    shown = tuple((clock(view, t), who, what) for t, who, what in sorted(rows))
    headline = (
        f"the clear of {task.dag}.{task.task} (run {task.run}) was answered {clear.code}; its run has ended as success "
        "and the task has no state"
    )
    witness = Witness(headline, (WitnessTable("The clear", ("time of load", "who", "what"), shown),))
    return Incident(RACE, view.block, view.arm, view.at_s(clear.at), ENDED_RUN, ENDED_RUN, witness)
