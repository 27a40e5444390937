"""Stuck and lost tasks: unfinished work of finite DAGs after every fault was undone and everything settled.

Without faults a block waits for no run to end: only what has not changed since the settling began can be stuck, and is,
if nothing of that kind changed for as long as a triggerer needs to be replaced. A block with faults settles until no
finite task instance and no run is pending, or until none of them has changed for longer than Airflow's recovery takes
by its configuration (`settling.py`). What is unfinished then stays unfinished:

===================  =============================================================================================
`stuck_queued`       a task instance waits for a worker that will not come
`stuck_running`      its worker is gone, and no scheduler has noticed
`stuck_scheduled`    no scheduler hands it to an executor
`stuck_deferred`     its trigger's event does not come
`stuck_none`         a run of which no scheduler starts the next task, though nothing of it is under way (one incident a
                     run; of a run that is queued, only if no other run of its DAG is active, which it might wait for)
`stuck_other`        another state that is not an end, such as `restarting`
`stuck_run`          a run that does not end, though all its task instances have
`lost_success`       a success was answered as stored (2xx), and the task instance has another state
`lost_run`           a run that failed without a failed task instance
`lost_task`          a run ended as success with a task instance that has not ended and that no scheduler examines
===================  =============================================================================================

A task instance without a state waits for those before it: unless its run has ended, it is a consequence of one that is
stuck, and not an incident. Nor is a task that failed because its worker died: its DAGs allow no retries, so that this
is Airflow's specified behaviour. After a clear or for a retry a task instance gets a new id; the worker's report is
compared with the row of the old id.

Opportunities are the task instances of finite DAGs whose runs existed when the settling began. The reports of real
workers are not recorded: with them `lost_success` cannot be seen.
"""

from __future__ import annotations

from collections import defaultdict

from stress import events
from stress.checkers.evidence import clock, faults_table
from stress.checkers.view import BlockView
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "stuck_task"

STUCK_OTHER = "stuck_other"
STUCK_NONE = "stuck_none"
STUCK_RUN = "stuck_run"
LOST_SUCCESS = "lost_success"
LOST_RUN = "lost_run"
LOST_TASK = "lost_task"
_STUCK = {state: f"stuck_{state}" for state in ("queued", "running", "scheduled", "deferred", "none")}
CAUSES = (*_STUCK.values(), STUCK_OTHER, STUCK_RUN, LOST_SUCCESS, LOST_RUN, LOST_TASK)

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_ACTIVE_RUN = "running"
_UNFINISHED_RUN = (_ACTIVE_RUN, "queued")


def check(view: BlockView) -> BlockCheck:
    """Count the finite task instances of one block, and judge those that are not done."""
    observers = ("database", "execution_api") if view.took_part("execution_api") else ("database",)
    blind = list(view.blind(*observers))
    counted = view.last(events.FiniteTasksCounted)
    settled = view.last(events.BlockSettled)
    if counted is None or settled is None:
        if view.last(events.BlockEnded) is not None:
            blind.append(f"block {view.block}: the unfinished tasks were not counted")
        return BlockCheck(RACE, view.block, view.arm, (), 0, view.load_s, tuple(blind))
    incidents = [*_lost(view, counted)]
    stuck = [*_stuck(view, counted)]
    if stuck and settled.tasks_unchanged_s < settled.tasks_needed_s:
        blind.append(
            f"block {view.block}: {len(stuck)} tasks and runs were unfinished when the settling time was over, and "
            f"something had changed {settled.tasks_unchanged_s:.0f} s before, "
            f"where {settled.tasks_needed_s:.0f} s without a change are needed to distinguish late from stuck"
        )
    else:
        incidents += stuck
    return BlockCheck(RACE, view.block, view.arm, tuple(incidents), counted.total, view.load_s, tuple(blind))


def _lost(view: BlockView, counted: events.FiniteTasksCounted) -> list[Incident]:
    """Tasks and runs that ended in the wrong state: settling cannot change that."""
    told = {ti: t for t, event in view.all(events.SuccessAcknowledged) for ti in event.task_instances}
    found = []
    for task in counted.unfinished:
        if task.id in told:
            headline = (
                f"{_name(task)} reported success and was answered that it is stored; it is stored as {task.state}"
            )
            found.append(_incident(view, LOST_SUCCESS, headline, told[task.id], [task]))
        elif task.run_state == "success" and task.state not in FINISHED and not task.earlier_try:
            headline = f"{_name(task)} is {task.state}, and its run has ended as success: no scheduler will run it"
            found.append(_incident(view, LOST_TASK, headline, task.changed_at, [task]))
    for run in counted.runs:
        if run.state == "failed" and not run.by_state.keys() & {"failed", "upstream_failed"}:
            headline = f"run {run.run} of {run.dag} failed, and none of its task instances has: {_states(run)}"
            found.append(_incident(view, LOST_RUN, headline, run.changed_at, _of(counted, run)))
    return found


def _stuck(view: BlockView, counted: events.FiniteTasksCounted) -> list[Incident]:
    """Tasks and runs that have not ended, without those that only wait for another one."""
    active = {run.dag for run in counted.runs if run.state == _ACTIVE_RUN}
    under_way: dict[tuple[str, str], list[events.UnfinishedTask]] = defaultdict(list)
    for task in counted.unfinished:
        if task.state not in FINISHED and task.state != "none" and not task.earlier_try:
            under_way[task.dag, task.run].append(task)
    found = []
    for run in counted.runs:
        if run.state not in _UNFINISHED_RUN:
            continue
        tasks = under_way[run.dag, run.run]
        for task in (task for task in tasks if task.stood):
            cause = _STUCK.get(task.state, STUCK_OTHER)
            headline = f"{_name(task)} is {task.state} and nothing moves it"
            found.append(_incident(view, cause, headline, task.changed_at, [task]))
        if tasks or not run.stood:
            continue
        if "none" not in run.by_state:
            headline = f"run {run.run} of {run.dag} is {run.state} though all its task instances have ended"
            found.append(_incident(view, STUCK_RUN, headline, run.changed_at, _of(counted, run)))
        elif run.state == _ACTIVE_RUN or run.dag not in active:
            headline = (
                f"run {run.run} of {run.dag} is {run.state} and no scheduler starts its next task: {_states(run)}"
            )
            found.append(_incident(view, STUCK_NONE, headline, run.changed_at, _of(counted, run)))
    return found


def _of(counted: events.FiniteTasksCounted, run: events.UnfinishedRun) -> list[events.UnfinishedTask]:
    return [task for task in counted.unfinished if (task.dag, task.run) == (run.dag, run.run)]


def _name(task: events.UnfinishedTask) -> str:
    return f"{task.dag}.{task.task} (run {task.run}, try {task.try_number})"


def _states(run: events.UnfinishedRun) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(run.by_state.items()))


def _incident(
    view: BlockView, cause: str, headline: str, at: float | None, tasks: list[events.UnfinishedTask]
) -> Incident:
    rows = tuple(
        (
            clock(view, task.changed_at) if task.changed_at is not None else "",
            task.task,
            f"{task.state}{' (earlier try)' if task.earlier_try else ''}",
            task.run_state,
            task.queued_by or "",
            task.owner or "",
            f"{task.id} {task.detail}".strip(),
        )
        for task in tasks
    )
    header = ("last written", "task", "state", "state of the run", "queued by", "trigger's owner", "task instance")
    tables = (*((WitnessTable("In the database", header, rows),) if rows else ()), *faults_table(view))
    at_s = view.at_s(at) if at is not None else view.load_s
    return Incident(RACE, view.block, view.arm, at_s, cause, cause, Witness(headline, tables))
