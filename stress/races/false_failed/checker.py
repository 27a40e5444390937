"""Reports of success that were answered as stored, and are stored as failed: each is one incident.

Only tasks with outlets are counted, whose report can meet a passing database error (`asset_deadlock`). They are neither
marked nor cleared, and are in no fail_fast DAG, so that only the report itself can have stored a failure. Causes:

=============  ====================================================================================================
`deadlock`     PostgreSQL aborted a transaction of an api-server for a deadlock while the report waited for its answer
`other_error`  no such deadlock is known
=============  ====================================================================================================

Opportunities are reports of success that were answered as stored.
"""

from __future__ import annotations

from stress import events
from stress.checkers.evidence import clock
from stress.checkers.reports import acknowledged, stored_otherwise, uncounted
from stress.checkers.view import BlockView
from stress.components import role_of
from stress.races.asset_deadlock.scenario import PRODUCERS
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "false_failed"

DEADLOCK = "deadlock"
OTHER = "other_error"
CAUSES = (DEADLOCK, OTHER)


def check(view: BlockView) -> BlockCheck:
    """Count reports of success that were answered as stored, and those that are stored as failed."""
    told = {report.id for report in acknowledged(view) if report.dag in PRODUCERS}
    incidents = tuple(
        _incident(view, report, task)
        for report, task in stored_otherwise(view)
        if report.dag in PRODUCERS and task.state == "failed"
    )
    blind = (*view.blind("execution_api", "database"), *uncounted(view))
    return BlockCheck(RACE, view.block, view.arm, incidents, len(told), view.load_s, blind)


def _incident(view: BlockView, report: events.ReportAnswered, task: events.UnfinishedTask) -> Incident:
    deadlocks = [
        event
        for _, event in view.all(events.DeadlockSeen)
        if role_of(event.victim) == "api-server" and report.sent_at <= event.at <= report.at
    ]
    cause = DEADLOCK if deadlocks else OTHER
    rows = [(report.sent_at, "worker", "reported success")]
    rows += [
        (event.at, "postgres", f"a deadlock; the transaction of {event.victim} was aborted") for event in deadlocks
    ]
    rows += [(report.at, "api-server", f"answered {report.code}")]
    shown = tuple((clock(view, t), who, what) for t, who, what in rows)
    headline = (
        f"{task.dag}.{task.task} (run {task.run}, try {task.try_number}) reported success and was answered "
        f"{report.code}; it is stored as {task.state}"
    )
    witness = Witness(headline, (WitnessTable("The report", ("time of load", "who", "what"), shown),))
    return Incident(RACE, view.block, view.arm, view.at_s(report.at), cause, cause, witness)
