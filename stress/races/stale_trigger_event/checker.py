"""Events of triggers that were written over what had become of their task meanwhile: each task is one incident.

=============  ====================================================================================================
`marking`      a deferred task was marked failed and the mark was answered as stored; its trigger's event came then,
               and at the end of the block the task is something else than failed
`timeout`      a task was resumed to fail, because its time-out was over, with the event of its trigger
=============  ====================================================================================================

A mark that comes after the event, and that a scheduler overwrites as it queues the task, counts as `marking`, too: the
history has no transitions that could tell the two apart.

Opportunities are marks of deferred tasks that were answered as stored, and reports of tasks that were resumed from a
deferral with a time-out.
"""

from __future__ import annotations

from stress import events
from stress.checkers.evidence import clock
from stress.checkers.reports import first_reports, uncounted
from stress.checkers.view import BlockView
from stress.races.stale_trigger_event.scenario import MARKED, TIMED_OUT
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "stale_trigger_event"

MARKING = "marking"
TIMEOUT = "timeout"
CAUSES = (MARKING, TIMEOUT)

FAIL_METHOD = "__fail__"
"""The method with which Airflow resumes a deferred task so that it fails."""


def check(view: BlockView) -> BlockCheck:
    """Count marks and time-outs of deferred tasks, and those that an event was written over."""
    marks = [
        event
        for _, event in view.all(events.RequestAnswered)
        if event.request == "mark_task" and event.dag == MARKED and 200 <= event.code < 300
    ]
    reports = first_reports(event for _, event in view.all(events.ReportAnswered) if event.dag in (MARKED, TIMED_OUT))
    resumed = [report for report in reports if report.dag == TIMED_OUT and report.next_method]
    incidents = [_over_a_mark(view, mark, reports) for mark in marks if _is_undone(view, mark)]
    incidents += [
        _over_a_timeout(view, report) for report in resumed if report.next_method == FAIL_METHOD and report.next_event
    ]
    return BlockCheck(
        RACE,
        view.block,
        view.arm,
        tuple(incidents),
        len(marks) + len(resumed),
        view.load_s,
        (*view.blind("load", "execution_api", "database"), *uncounted(view)),
    )


def _is_undone(view: BlockView, mark: events.RequestAnswered) -> bool:
    """Whether the marked task is not failed at the end of the block: a row that is not listed there is a success."""
    counted = view.last(events.FiniteTasksCounted)
    if counted is None:
        return False
    return not any(
        (task.dag, task.run, task.task, task.state) == (mark.dag, mark.run, mark.task, "failed")
        for task in counted.unfinished
    )


def _over_a_mark(view: BlockView, mark: events.RequestAnswered, reports: list[events.ReportAnswered]) -> Incident:
    rows = [
        (mark.sent_at, "user", f"asked to mark it {mark.state}"),
        (mark.at, "api-server", f"answered {mark.code}"),
        *(
            (each.at, "worker", f"resumed with {each.next_method}, reported {each.state}, answered {each.code}")
            for each in reports
            if (each.dag, each.run, each.task) == (mark.dag, mark.run, mark.task)
        ),
    ]
    headline = f"{mark.dag}.{mark.task} (run {mark.run}) was marked {mark.state}, and is not {mark.state} at the end"
    return _incident(view, mark.at, MARKING, headline, rows)


def _over_a_timeout(view: BlockView, report: events.ReportAnswered) -> Incident:
    rows = [(report.at, "worker", f"resumed with {report.next_method} and an event, reported {report.state}")]
    headline = (
        f"{report.dag}.{report.task} (run {report.run}) was resumed to fail, because it had timed out, "
        "with its trigger's event"
    )
    return _incident(view, report.sent_at, TIMEOUT, headline, rows)


def _incident(view: BlockView, at: float, cause: str, headline: str, rows: list[tuple[float, str, str]]) -> Incident:
    shown = tuple((clock(view, t), who, what) for t, who, what in sorted(rows))
    witness = Witness(headline, (WitnessTable("The task", ("time of load", "who", "what"), shown),))
    return Incident(RACE, view.block, view.arm, view.at_s(at), cause, cause, witness)
