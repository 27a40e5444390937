"""Pending and remaining work of a block, by the database: what is pending while it settles, and what remains at its
end.

DAG runs are expected to end if their DAG ends by itself and if they existed when the settling began (new ones start
every minute). `ENDLESS_DAGS` never end by themselves, by design.

With faults a block waits for those runs to end. Without faults that would take as long as the load's backlog, and is
not needed: what moves is not stuck. So only what has **stood** since the settling began is waited for: task instances
under way (scheduled to deferred) with the same state, try and trigger owner at each look, and runs of which no task
instance is under way and whose task instances have the same states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from stress import events
from stress.settling import Waiting

ENDLESS_DAGS = ("bigquery_endless", "deadline_queue", "deadline_queue_sync")
"""Its jobs run until a user ends them; its one active run waits for a pool without slots (see `dags/`)."""

DUE_SOON_S = 10
"""Deadlines that pass within so many seconds are waited for, too."""

Rows = Callable[[str], list[tuple[Any, ...]]]

_MADE_SO_FAR = "SELECT coalesce(max(id), 0) FROM dag_run"
# Runs that are expected to end.
_FINITE = "r.id <= {made} AND r.dag_id NOT IN ({endless})"

# Deadlines that no scheduler has handled though they have passed (or will soon), and triggers that run a callback, each
# with its owner.
_CALLBACKS = """
SELECT count(*), coalesce(md5(string_agg(what, ',' ORDER BY what)), '') FROM (
    SELECT 'deadline ' || id AS what FROM deadline
    WHERE {unhandled} AND deadline_time < now() + interval '{soon} s'
    UNION ALL
    SELECT concat_ws(' ', 'trigger', id, triggerer_id) FROM trigger WHERE classpath LIKE '%allback%'
) AS waiting
"""
_UNHANDLED, _UNHANDLED_3_1 = "NOT missed", "callback_state IS NULL"
# Finite task instances that have not ended, each with its state, try and trigger's owner, and the runs themselves.
_UNFINISHED = """
SELECT count(*), coalesce(md5(string_agg(what, ',' ORDER BY what)), ''),
       array_agg(DISTINCT state) FILTER (WHERE state IS NOT NULL) FROM (
    SELECT concat_ws(' ', ti.id, ti.state, ti.try_number, t.triggerer_id) AS what, coalesce(ti.state, 'none') AS state
    FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
    LEFT JOIN trigger t ON t.id = ti.trigger_id
    WHERE {finite} AND r.state IN ('queued', 'running')
      AND (ti.state IS NULL OR ti.state NOT IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed'))
    UNION ALL
    SELECT concat_ws(' ', 'run', r.id, r.state), NULL FROM dag_run r
    WHERE {finite} AND r.state IN ('queued', 'running')
) AS waiting
"""
# What can stand: finite task instances under way, each with its state, try and trigger's owner; and running runs
# without any, each with its task instances by state (a queued run only if it waits for no running run of its DAG).
_MOVING = """
SELECT concat_ws(' ', ti.id, ti.state, ti.try_number, t.triggerer_id), ti.id::text, ti.state
FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
LEFT JOIN trigger t ON t.id = ti.trigger_id
WHERE {finite} AND r.state IN ('queued', 'running')
  AND ti.state NOT IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
UNION ALL
SELECT concat_ws(' ', 'run', r.id, r.state, (
           SELECT jsonb_object_agg(state, n) FROM (
               SELECT coalesce(ti.state, 'none') AS state, count(*) AS n FROM task_instance ti
               WHERE ti.dag_id = r.dag_id AND ti.run_id = r.run_id GROUP BY 1) AS counted)),
       'run ' || r.dag_id || ' ' || r.run_id, 'none'
FROM dag_run r
WHERE {finite} AND (r.state = 'running' OR r.state = 'queued' AND NOT EXISTS (
        SELECT 1 FROM dag_run other WHERE other.dag_id = r.dag_id AND other.state = 'running'))
  AND NOT EXISTS (
        SELECT 1 FROM task_instance ti WHERE ti.dag_id = r.dag_id AND ti.run_id = r.run_id
        AND ti.state NOT IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed'))
"""
# Triggers other than those of callbacks that belong to a triggerer.
_OWNED = "SELECT count(*) FROM trigger WHERE triggerer_id IS NOT NULL AND classpath NOT LIKE '%allback%'"

# Every deadline that has passed, with its callback's trigger and that one's owner.
_PASSED = """
SELECT d.id::text, extract(epoch FROM d.deadline_time)::float8, d.missed, c.state, t.id IS NOT NULL, c.trigger_id,
       coalesce(j.hostname, 'job ' || t.triggerer_id), j.end_date IS NOT NULL,
       extract(epoch FROM now() - j.latest_heartbeat)::float8
FROM deadline d LEFT JOIN callback c ON c.id = d.callback_id LEFT JOIN trigger t ON t.id = c.trigger_id
LEFT JOIN job j ON j.id = t.triggerer_id
WHERE d.deadline_time < now()
"""
_PASSED_3_1 = """
SELECT d.id::text, extract(epoch FROM d.deadline_time)::float8, d.callback_state IS NOT NULL, d.callback_state,
       t.id IS NOT NULL, d.trigger_id, coalesce(j.hostname, 'job ' || t.triggerer_id), j.end_date IS NOT NULL,
       extract(epoch FROM now() - j.latest_heartbeat)::float8
FROM deadline d LEFT JOIN trigger t ON t.id = d.trigger_id LEFT JOIN job j ON j.id = t.triggerer_id
WHERE d.deadline_time < now()
"""
_COUNT = """
SELECT count(*) FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id WHERE {finite}
"""
# Finite task instances that are not success, with who queued them and who owns their trigger; then the same of earlier
# tries.
_NOT_SUCCESS = """
SELECT ti.id::text, ti.dag_id, ti.run_id, ti.task_id, ti.try_number, coalesce(ti.state, 'none'), r.state, false,
       q.hostname, j.hostname, extract(epoch FROM ti.updated_at)::float8,
       concat_ws(', ', 'trigger ' || ti.trigger_id, 'queued by job ' || q.id || ', ' || q.state,
                 'last heartbeat ' || ti.last_heartbeat_at)
FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
LEFT JOIN job q ON q.id = ti.queued_by_job_id
LEFT JOIN trigger t ON t.id = ti.trigger_id LEFT JOIN job j ON j.id = t.triggerer_id
WHERE {finite} AND ti.state IS DISTINCT FROM 'success'
UNION ALL
SELECT ti.task_instance_id::text, ti.dag_id, ti.run_id, ti.task_id, ti.try_number, coalesce(ti.state, 'none'), r.state,
       true, q.hostname, NULL, extract(epoch FROM ti.updated_at)::float8, ''
FROM task_instance_history ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
LEFT JOIN job q ON q.id = ti.queued_by_job_id
WHERE {finite} AND ti.state IS DISTINCT FROM 'success'
"""
# Runs of finite DAGs that are not success, with their task instances by state.
_RUNS = """
SELECT dag_id, run_id, run_state, jsonb_object_agg(state, n) FILTER (WHERE n > 0), changed FROM (
    SELECT r.dag_id, r.run_id, r.state AS run_state, extract(epoch FROM r.updated_at)::float8 AS changed,
           coalesce(ti.state, 'none') AS state, count(ti.id) AS n
    FROM dag_run r LEFT JOIN task_instance ti ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
    WHERE {finite} AND r.state <> 'success' GROUP BY r.id, coalesce(ti.state, 'none')
) AS counted GROUP BY dag_id, run_id, run_state, changed ORDER BY dag_id, run_id
"""


class Aftermath:
    """Queries pending and remaining work. Made when the settling begins: runs that start later are not included."""

    def __init__(self, rows: Rows, *, since_3_2: bool, drains: bool) -> None:
        """`rows` executes a statement; it raises SourceLost. `drains`: runs are awaited to their end."""
        self._rows = rows
        self._drains = drains
        self._standing: dict[str, tuple[str, str]] | None = None
        unhandled, self._passed = (_UNHANDLED, _PASSED) if since_3_2 else (_UNHANDLED_3_1, _PASSED_3_1)
        endless = ", ".join(f"'{dag}'" for dag in ENDLESS_DAGS)
        finite = _FINITE.format(made=rows(_MADE_SO_FAR)[0][0], endless=endless)
        self._callbacks = _CALLBACKS.format(unhandled=unhandled, soon=DUE_SOON_S)
        self._unfinished, self._moving, self._count, self._not_success, self._runs = (
            statement.format(finite=finite) for statement in (_UNFINISHED, _MOVING, _COUNT, _NOT_SUCCESS, _RUNS)
        )
        self._tasks = self._unended if drains else self._stood

    def callbacks(self) -> Waiting:
        """Deadlines that wait for a scheduler and callbacks that wait for a triggerer."""
        count, marks = self._rows(self._callbacks)[0]
        return Waiting(count, marks)

    def tasks(self) -> Waiting:
        """Finite task instances and runs that have not ended; if they are not awaited, those that have stood."""
        return self._tasks()

    def _unended(self) -> Waiting:
        count, marks, states = self._rows(self._unfinished)[0]
        return Waiting(count, marks, frozenset(states or ()))

    def _stood(self) -> Waiting:
        """The first call finds everything that can stand; each later one what has not changed since the first."""
        now = {mark: (ident, state) for mark, ident, state in self._rows(self._moving)}
        if self._standing is not None:
            now = {mark: found for mark, found in now.items() if mark in self._standing}
        self._standing = now
        return Waiting(len(now), " ".join(sorted(now)), frozenset(state for _, state in now.values()))

    def runners(self) -> bool:
        """Whether triggerers own polling triggers."""
        return bool(self._rows(_OWNED)[0][0])

    def left(self) -> Iterator[events.AnyEvent]:
        """The remaining work at the end of the block."""
        yield events.DeadlinesPassed(deadlines=[_deadline(row) for row in self._rows(self._passed)])
        if not self._drains:
            self._stood()  # what moved since the last look
        standing = {ident for ident, _ in (self._standing or {}).values()}

        def stood(ident: str) -> bool:
            return self._drains or ident in standing

        yield events.FiniteTasksCounted(
            total=self._rows(self._count)[0][0],
            unfinished=[_task(row, stood(row[0])) for row in self._rows(self._not_success)],
            runs=[
                events.UnfinishedRun(
                    dag=dag,
                    run=run,
                    state=state,
                    by_state=by_state or {},
                    changed_at=changed_at,
                    stood=stood(f"run {dag} {run}"),
                )
                for dag, run, state, by_state, changed_at in self._rows(self._runs)
            ],
        )


def _deadline(row: tuple[Any, ...]) -> events.PassedDeadline:
    deadline, due_at, handled, state, exists, trigger, owner, ended, silent_s = row
    return events.PassedDeadline(
        id=deadline,
        due_at=due_at,
        handled=handled,
        state=state,
        trigger=trigger,
        trigger_exists=exists,
        owner=owner,
        owner_ended=ended,
        owner_silent_s=silent_s,
    )


def _task(row: tuple[Any, ...], stood: bool) -> events.UnfinishedTask:
    ti, dag, run, task, try_number, state, run_state, earlier, queued_by, owner, changed_at, detail = row
    return events.UnfinishedTask(
        id=ti,
        dag=dag,
        run=run,
        task=task,
        try_number=try_number,
        state=state,
        run_state=run_state,
        earlier_try=earlier,
        queued_by=queued_by,
        owner=owner,
        changed_at=changed_at,
        detail=detail,
        stood=stood,
    )
