"""Failures in fail_fast DAGs that overwrote a success, or that deadlocked with another report: each is one incident.

======================  ===========================================================================================
`overwritten_success`   a worker reported success and was answered as stored; the task of the same run that failed
                        meanwhile ended it by what it had been before, and it is stored as something else
`deadlock`              the failure ends the other tasks of its run while another report of the run is answered, and
                        PostgreSQL broke the cycle (`stress/checkers/deadlock_causes.py`, cause `fail_fast`)
======================  ===========================================================================================

Opportunities are reports that were made within `TOGETHER_S` of the one before of their run.
"""

from __future__ import annotations

from stress import events
from stress.checkers.deadlock_causes import FAIL_FAST as DEADLOCK_CAUSE
from stress.checkers.deadlock_causes import cause_of, unlogged
from stress.checkers.evidence import clock, deadlock_witness
from stress.checkers.reports import coincidences, stored_otherwise, uncounted
from stress.checkers.view import BlockView
from stress.races.fail_fast.scenario import FAIL_FAST
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "fail_fast"

OVERWRITTEN = "overwritten_success"
DEADLOCK = "deadlock"
CAUSES = (OVERWRITTEN, DEADLOCK)

TOGETHER_S = 0.1


def check(view: BlockView) -> BlockCheck:
    """Count overwritten successes and deadlocks, and reports of one run that were made together."""
    reports = [event for _, event in view.all(events.ReportAnswered) if event.dag in FAIL_FAST]
    incidents = [
        _overwritten(view, report, task, reports) for report, task in stored_otherwise(view) if report.dag in FAIL_FAST
    ]
    incidents += [
        Incident(RACE, view.block, view.arm, view.at_s(event.at), DEADLOCK, DEADLOCK, deadlock_witness(event))
        for _, event in view.all(events.DeadlockSeen)
        if cause_of(event) == DEADLOCK_CAUSE
    ]
    return BlockCheck(
        RACE,
        view.block,
        view.arm,
        tuple(incidents),
        coincidences(reports, lambda report: (report.dag, report.run), TOGETHER_S),
        view.load_s,
        (*view.blind("postgres_log", "execution_api", "database"), *unlogged(view), *uncounted(view)),
    )


def _overwritten(
    view: BlockView, report: events.ReportAnswered, task: events.UnfinishedTask, reports: list[events.ReportAnswered]
) -> Incident:
    of_run = [each for each in reports if (each.dag, each.run) == (report.dag, report.run)]
    rows = tuple(
        (clock(view, each.sent_at), clock(view, each.at), each.task, each.state, str(each.code)) for each in of_run
    )
    headline = (
        f"{task.dag}.{task.task} (run {task.run}) reported success and was answered {report.code}; "
        f"it is stored as {task.state}"
    )
    table = WitnessTable("Reports of the run", ("sent", "answered", "task", "reported", "answer"), rows)
    witness = Witness(headline, (table,))
    return Incident(RACE, view.block, view.arm, view.at_s(report.at), OVERWRITTEN, OVERWRITTEN, witness)
