"""Fix ``clearing_row_locks``: clearing works on rows that it has locked and read again (3.1.0 to 3.4.0b2).

The defect
    ``clear_task_instances`` decides by what the request read before, without a lock: is the run finished, so
    that it has to be queued again? Does a worker have the task, or none? What others commit between
    that read and the flush is not seen:

    - A scheduler ends the run. Clearing read "running" and leaves the run's state alone: a cleared task in a
      run that is over. No scheduler looks at it again, and the request to clear it was answered 200.
    - A worker succeeds, or defers. Clearing read "running" and stores "restarting", for a worker that has gone.
    - A worker starts the task. Clearing read "queued" and stores "none": the task is given to a second
      worker while the first one runs.
    - Another request clears the same task. Its row has another id by then, and the request ends with a 500.

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
    the rows are locked and compared with what was read: state, try, trigger, and who has them. If another has changed
    one, the savepoint is rolled back (which gives the rows' locks back, too), and all of it is done anew. A commit of
    upstream's would have the comparison in the UPDATE (``WHERE id = :id AND state = :seen``, and read again if no row
    was found). After three tries in which another was faster, the rows are locked before they are read, so that a
    busy run can be cleared, too.

On 3.4
    Clearing by the route locks the runs and reads them again (``lock_dag_runs``), so that the first of these cases is
    gone. A task instance that did not run is archived under its own lock, as failed, and gets a successor with an id of
    its own; two who clear one task take turns at its run. The other cases are there: a success that is reported after
    the read is overwritten with "restarting", for a worker that has gone, and a task that starts after the read
    is archived as failed while its worker runs, beside the worker of its successor.
    ``TaskInstance.archive`` locks one row after the other, in the order of the caller's list, and flushes each. So the
    rows are locked and compared before the first of these locks, or before the first flush, whichever is first, and
    from then on they are held until the commit, as most of them are on stock. They are locked in the order of that
    list, not of their ids: the others that lock several task instances of a run hold the run, except the sweeps, and
    with these a second order would deadlock where stock has none.

What it leaves: which task instances are to be cleared (``only_failed``, ``only_running``) is chosen before that,
without a lock. Marking locks task instances before it clears those behind them, and so a run after its task
instances, with and without this fix (see ``marking_run_lock``). Several cleared task instances whose trigger has timed
out at that moment: the scheduler's sweep takes them in the order of its scan and can deadlock with the order by id,
as it can on stock with the flush (3.4: with the order of the list); ``sweep_row_claims`` removes that, from the sweep's
side.

Its tests: ``stress repro lost_clear`` (``tests/explore/test_reproducers.py``),
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

_SUPERSEDED = "superseded_ti_ids"
"""The argument (since 3.4) that names attempts by id."""

_SEEN = ("state", "try_number", "trigger_id", "external_executor_id", "hostname", "pid")
"""What identifies a task instance's attempt. Not ``updated_at``, which heartbeats change."""


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


def key_names(instance: Any) -> tuple[str, ...]:
    """The columns that name a task instance of any attempt. Since 3.4 an index is one of a region."""
    index = ("region_id", "region_index") if hasattr(instance, "region_id") else ("map_index",)
    return ("dag_id", "run_id", "task_id", *index)


def key_of(ti: Any) -> tuple[Any, ...]:
    """What names a task instance of any attempt."""
    return tuple(getattr(ti, name) for name in key_names(type(ti)))


def read_again(instance: Any, keys: list[tuple[Any, ...]], session: Any) -> list[Any]:
    """The task instances of these keys as they are now, in the same order, without those that are gone."""
    from sqlalchemy import select, tuple_

    columns = [getattr(instance, name) for name in key_names(instance)]
    found: dict[Any, Any] = {}
    for batch in (keys[i : i + _BATCH] for i in range(0, len(keys), _BATCH)):
        query = select(instance).where(tuple_(*columns).in_(batch)).execution_options(populate_existing=True)
        found.update((key_of(ti), ti) for ti in session.scalars(query).unique())
    return [found[key] for key in dict.fromkeys(keys) if key in found]


def seen_of(tis: list[Any]) -> dict[str, tuple[Any, ...]]:
    """By id, what identifies the attempts."""
    return {str(ti.id): tuple(getattr(ti, name) for name in _SEEN) for ti in tis}


def lock(instance: Any, ids: Iterable[str], session: Any) -> dict[str, tuple[Any, ...]]:
    """Lock rows in the order in which stock writes them; returns what identifies the attempts, as it is now."""
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import case, select

    now: dict[str, tuple[Any, ...]] = {}
    in_turn = hasattr(instance, "archive")  # since 3.4
    ordered = list(ids) if in_turn else sorted(ids)  # as text, they sort as PostgreSQL sorts them
    for batch in (ordered[i : i + _BATCH] for i in range(0, len(ordered), _BATCH)):
        rows = select(instance.id, *(getattr(instance, name) for name in _SEEN))
        place = case(*((instance.id == id_, number) for number, id_ in enumerate(batch)))
        rows = rows.where(instance.id.in_(batch)).order_by(place if in_turn else instance.id)
        rows = with_row_locks(rows, session=session, of=instance, key_share=False)
        now.update((str(row[0]), tuple(row[1:])) for row in session.execute(rows))
    return now


@contextmanager
def checked_at_first_write(instance: Any, tis: list[Any], session: Any) -> Iterator[None]:
    """In the block, lock the rows just before the session first writes or locks any, if they are as they were read."""
    from sqlalchemy import event

    seen: dict[str, tuple[Any, ...]] = seen_of(tis)

    def check_before_lock(execution: Any) -> None:
        locks = execution.is_select and execution.statement._for_update_arg is not None
        mapper = execution.bind_mapper
        if locks and mapper is not None and mapper.class_ is instance:
            check()

    def check(*_: Any) -> None:
        if seen:
            read = dict(seen)
            seen.clear()
            if lock(instance, read, session) != read:
                raise ChangedMeanwhileError

    event.listen(session, "before_flush", check)
    event.listen(session, "do_orm_execute", check_before_lock)
    try:
        yield
    finally:
        event.remove(session, "before_flush", check)
        event.remove(session, "do_orm_execute", check_before_lock)


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
        keys = [key_of(ti) for ti in tis]
        # Attempts that 3.4 archives without a successor: these, too, may have other ids when they are read again.
        superseded = {key_of(ti) for ti in tis if ti.id in kwargs.get(_SUPERSEDED, ())}
        for tries_left in range(_TRIES, -1, -1):
            tis[:] = read_again(instance, keys, session)
            if superseded:
                kwargs[_SUPERSEDED] = {ti.id for ti in tis if key_of(ti) in superseded}
            try:
                with session.begin_nested():
                    if not tries_left:
                        lock(instance, [str(ti.id) for ti in tis], session)
                        tis[:] = read_again(instance, keys, session)
                    with checked_at_first_write(instance, tis, session):
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
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
