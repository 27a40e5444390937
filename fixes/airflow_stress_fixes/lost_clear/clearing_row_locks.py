"""Fix ``clearing_row_locks``: clearing works on rows that it has locked and read again (3.1.0 to 3.3.2).

The defect
    ``clear_task_instances`` decides by what the request read before, without a lock: is the run finished, so
    that it has to be queued again? Does a worker have the task, or does nobody? What others commit between
    that read and the flush is not seen:

    - A scheduler ends the run. Clearing read "running" and leaves the run's state alone: a cleared task in a
      run that is over. No scheduler looks at it again, and whoever cleared it was answered 200.
    - A worker succeeds, or defers. Clearing read "running" and stores "restarting", for a worker that has gone.
    - A worker starts the task. Clearing read "queued" and stores "none": the task is given to a second
      worker while the first one runs.
    - Somebody else clears the same task. Its row has another id by then, and the request ends with a 500.

The invariant
    Clearing holds the locks of the runs and has read these under the locks before it decides anything; what it stores
    of a task instance replaces the very attempt that it has read. So its outcome is one that the same requests have
    one after the other.

Why the obvious repair is wrong
    Letting the scheduler look again for unfinished task instances before it stores a run's end can't help:
    clearing has not committed by then, and its own write of the run then waits for the scheduler's and leaves
    the end in place. Locking the runs alone, without reading them again, gets the lock and keeps the old
    state: the session answers from its identity map. Locking the task instances, too, before they are cleared
    holds them during at least three statements for each: a worker's heartbeat waits for seconds if many are cleared,
    in a thread and with a connection of the api-server's, and other tasks' heartbeats wait for these.

Lock order
    Runs by (dag_id, run_id), with ``FOR NO KEY UPDATE``, as 3.4's ``lock_dag_runs`` does and as the scheduler locks
    them: who only refers to a run does not wait. They are held from the beginning, because a stale decision about
    a run can't be repaired later; only who clears, marks or schedules that run asks for this lock, and the scheduler
    passes over locked runs. Task instances by id, in the last moment, just before the flush that writes them: it
    would write them in this order, too, and takes the same lock, ``FOR UPDATE``, because clearing gives them new ids.
    Only those that are cleared are locked.

How
    ``clear_task_instances`` is wrapped. It flushes what its caller has changed, locks the runs and reads runs and task
    instances again, puts the fresh task instances into the caller's list (one that was cleared meanwhile has another
    id; one that is gone is left out), and lets stock code clear them in a savepoint. Before the first flush in it,
    the rows are locked and compared with what was read: state, try, trigger, and who has them. If anybody has changed
    one, the savepoint is rolled back (which gives the rows' locks back, too), and all of it is done anew. A commit of
    upstream's would have the comparison in the UPDATE (``WHERE id = :id AND state = :seen``, and read again if no row
    was found). After three tries that somebody else was faster in, the rows are locked before they are read, so that a
    busy run can be cleared, too.

What it leaves: which task instances are to be cleared (``only_failed``, ``only_running``) is chosen before that,
without a lock. Marking locks task instances before it clears those behind them, and so a run after its task
instances, with and without this fix (see ``marking_run_lock``). Several cleared task instances whose trigger has timed
out at that moment: the scheduler's sweep takes them in the order of its scan and can deadlock with the order by id,
as it can on stock with the flush; ``sweep_row_claims`` removes that, from the sweep's side.

Its tests: ``stress repro lost_clear`` (``tests/explore/test_twins.py``),
``tests/airflow/test_lost_clear_clearing_row_locks.py`` and ``tests/airflow/test_row_order.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.models.taskinstance"
_FUNCTION = "clear_task_instances"

_TRIES = 3
"""How often it is tried without locks on task instances."""

_BATCH = 1000
"""Rows that one statement names at most."""

_SEEN = ("state", "try_number", "trigger_id", "external_executor_id", "hostname", "pid")
"""What a task instance's attempt is told by. Not ``updated_at``, which heartbeats change."""


class ChangedMeanwhileError(Exception):
    """Another transaction has changed a task instance between its read and its lock."""


def lock_runs(tis: list[Any], session: Any) -> None:
    """Lock the runs of task instances in the order of (dag_id, run_id), and read them again."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select, tuple_

    keys = sorted({(ti.dag_id, ti.run_id) for ti in tis})
    for batch in (keys[i : i + _BATCH] for i in range(0, len(keys), _BATCH)):
        runs = select(DagRun).where(tuple_(DagRun.dag_id, DagRun.run_id).in_(batch))
        runs = runs.order_by(DagRun.dag_id, DagRun.run_id).execution_options(populate_existing=True)
        session.scalars(with_row_locks(runs, session=session, of=DagRun)).unique().all()


def read_again(instance: Any, tis: list[Any], session: Any) -> list[Any]:
    """The task instances as they are now, in the same order, without those that are gone."""
    from sqlalchemy import select, tuple_

    key = (instance.dag_id, instance.run_id, instance.task_id, instance.map_index)
    keys = [(ti.dag_id, ti.run_id, ti.task_id, ti.map_index) for ti in tis]
    found: dict[Any, Any] = {}
    for batch in (keys[i : i + _BATCH] for i in range(0, len(keys), _BATCH)):
        query = select(instance).where(tuple_(*key).in_(batch)).execution_options(populate_existing=True)
        for ti in session.scalars(query).unique():
            found[ti.dag_id, ti.run_id, ti.task_id, ti.map_index] = ti
    return [found[key] for key in dict.fromkeys(keys) if key in found]


def seen_of(tis: list[Any]) -> dict[str, tuple[Any, ...]]:
    """By id, what the attempts are told by."""
    return {str(ti.id): tuple(getattr(ti, name) for name in _SEEN) for ti in tis}


def lock(instance: Any, ids: Iterable[str], session: Any) -> dict[str, tuple[Any, ...]]:
    """Lock rows in the order of their ids; gives what the attempts are told by, as it is now."""
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select

    now: dict[str, tuple[Any, ...]] = {}
    ordered = sorted(ids)  # as text, they sort as PostgreSQL sorts them
    for batch in (ordered[i : i + _BATCH] for i in range(0, len(ordered), _BATCH)):
        rows = select(instance.id, *(getattr(instance, name) for name in _SEEN))
        rows = rows.where(instance.id.in_(batch)).order_by(instance.id)
        rows = with_row_locks(rows, session=session, of=instance, key_share=False)
        now.update((str(row[0]), tuple(row[1:])) for row in session.execute(rows))
    return now


@contextmanager
def checked_at_first_flush(instance: Any, tis: list[Any], session: Any) -> Iterator[None]:
    """In the block, lock the rows just before the session first writes anything, if they are as they were read."""
    from sqlalchemy import event

    seen: dict[str, tuple[Any, ...]] = seen_of(tis)

    def check(*_: Any) -> None:
        if seen:
            read = dict(seen)
            seen.clear()
            if lock(instance, read, session) != read:
                raise ChangedMeanwhileError

    event.listen(session, "before_flush", check)
    try:
        yield
    finally:
        event.remove(session, "before_flush", check)


def apply(module: ModuleType) -> None:
    """Wrap the function that clears."""
    stock = getattr(module, _FUNCTION)
    instance: Any = module.TaskInstance

    @replacing(module, _FUNCTION)
    def clear_task_instances(tis: list[Any], session: Any, *args: Any, **kwargs: Any) -> Any:
        if not tis:
            return stock(tis, session, *args, **kwargs)
        # What the caller has changed and not written would be lost when its objects are read again.
        session.flush()
        lock_runs(tis, session)
        for tries_left in range(_TRIES, -1, -1):
            tis[:] = read_again(instance, tis, session)
            try:
                with session.begin_nested():
                    if not tries_left:
                        lock(instance, [str(ti.id) for ti in tis], session)
                        tis[:] = read_again(instance, tis, session)
                    with checked_at_first_flush(instance, tis, session):
                        return stock(tis, session, *args, **kwargs)
            except ChangedMeanwhileError:
                if not tries_left:
                    raise
        raise AssertionError("not reached: the last try returns or raises")


FIX = Fix(
    place=10,
    summary="clearing locks and reads runs again before it decides, and stores only what replaces what it has read",
    components=("api-server",),
    targets=(
        Target(_MODULE, _FUNCTION),
        Target(_MODULE, "TaskInstance.prepare_db_for_next_try"),
        Target("airflow.models.taskinstancehistory", "TaskInstanceHistory.record_ti"),
        # Its callers, whose sessions it works in.
        Target("airflow.api_fastapi.core_api.routes.public.task_instances", "post_clear_task_instances"),
        Target("airflow.models.dagrun", "DagRun.get_running_dag_runs_to_examine"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.3.2", Fit.APPLIES),
    apply=apply,
)
