"""Marks of runs that overwrote a success, that were overwritten, or that deadlocked: each is one incident.

======================  ===========================================================================================
`overwritten_success`   a worker reported success and was answered as stored while its run was being marked; the task
                        is stored as something else, by what it had been before
`overwritten_mark`      a run was marked failed and the mark was answered as stored; the run is something else
`deadlock`              the mark holds the run's task instances and a scheduler holds the run, and PostgreSQL broke the
                        cycle (`stress/checkers/deadlock_causes.py`, cause `run_marking`)
======================  ===========================================================================================

Opportunities are reports of success in runs whose mark was answered as stored. Reports that come after the mark and are
refused count as well: a fix changes how many those are, and must not change the denominator. Marks of single tasks
(FINDINGS 15) are not in the load.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from stress import events
from stress.checkers.deadlock_causes import RUN_MARKING, cause_of, unlogged
from stress.checkers.evidence import clock, deadlock_witness
from stress.checkers.reports import first_reports, stored_otherwise, uncounted
from stress.checkers.view import BlockView
from stress.races.lost_mark.scenario import MARKED
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "lost_mark"

SUCCESS = "overwritten_success"
MARK = "overwritten_mark"
DEADLOCK = "deadlock"
CAUSES = (SUCCESS, MARK, DEADLOCK)


def check(view: BlockView) -> BlockCheck:
    """Count successes in marked runs, and what the marks overwrote, what overwrote them, and their deadlocks."""
    marks = {
        event.run: event
        for _, event in view.all(events.RequestAnswered)
        if event.request == "mark_run" and event.dag == MARKED and 200 <= event.code < 300
    }
    incidents = [
        _success(view, report, task, marks[report.run])
        for report, task in stored_otherwise(view)
        if report.dag == MARKED and report.run in marks
    ]
    incidents += [_mark(view, mark) for mark in marks.values() if _is_undone(view, mark)]
    incidents += [
        Incident(RACE, view.block, view.arm, view.at_s(event.at), DEADLOCK, DEADLOCK, deadlock_witness(event))
        for _, event in view.all(events.DeadlockSeen)
        if cause_of(event) == RUN_MARKING
    ]
    return BlockCheck(
        RACE,
        view.block,
        view.arm,
        tuple(incidents),
        len(first_reports(_successes(view, marks))),
        view.load_s,
        (*view.blind("load", "postgres_log", "execution_api", "database"), *unlogged(view), *uncounted(view)),
    )


def _successes(view: BlockView, runs: Collection[str]) -> Iterator[events.ReportAnswered]:
    """Reports of success in these runs."""
    return (
        event
        for _, event in view.all(events.ReportAnswered)
        if event.dag == MARKED and event.run in runs and event.state == "success"
    )


def _is_undone(view: BlockView, mark: events.RequestAnswered) -> bool:
    """Whether the marked run is not failed at the end of the block: a run that is not listed there is a success."""
    counted = view.last(events.FiniteTasksCounted)
    if counted is None:
        return False
    return not any((run.dag, run.run, run.state) == (mark.dag, mark.run, mark.state) for run in counted.runs)


def _success(
    view: BlockView, report: events.ReportAnswered, task: events.UnfinishedTask, mark: events.RequestAnswered
) -> Incident:
    rows = [
        (report.sent_at, "worker", f"{report.task} reported success"),
        (report.at, "api-server", f"answered {report.code} to the worker"),
        (mark.sent_at, "user", f"asked to mark the run {mark.state}"),
        (mark.at, "api-server", f"answered {mark.code} to the user"),
    ]
    headline = (
        f"{task.dag}.{task.task} (run {task.run}) reported success and was answered {report.code}; it is stored as "
        f"{task.state}, and its run was marked {mark.state}"
    )
    return _incident(view, report.at, SUCCESS, headline, rows)


def _mark(view: BlockView, mark: events.RequestAnswered) -> Incident:
    rows = [
        (mark.sent_at, "user", f"asked to mark the run {mark.state}"),
        (mark.at, "api-server", f"answered {mark.code}"),
    ]
    headline = f"run {mark.run} of {mark.dag} was marked {mark.state}, and is not {mark.state} at the end"
    return _incident(view, mark.at, MARK, headline, rows)


def _incident(view: BlockView, at: float, cause: str, headline: str, rows: list[tuple[float, str, str]]) -> Incident:
    shown = tuple((clock(view, t), who, what) for t, who, what in sorted(rows))
    witness = Witness(headline, (WitnessTable("The run", ("time of load", "who", "what"), shown),))
    return Incident(RACE, view.block, view.arm, view.at_s(at), cause, cause, witness)
