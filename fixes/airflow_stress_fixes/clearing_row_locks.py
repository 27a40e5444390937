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
    Clearing holds the locks of the runs and of the task instances, and has read both under these locks,
    before it decides anything; it keeps them until its commit. So its outcome is one that the same requests
    have one after the other.

Why the obvious repair is wrong
    Letting the scheduler look again for unfinished task instances before it stores a run's end can't help:
    clearing has not committed by then, and its own write of the run then waits for the scheduler's and leaves
    the end in place. Locking the runs alone, without reading them again, gets the lock and keeps the old
    state: the session answers from its identity map.

Lock order
    Runs by their ids, then task instances by their keys: as the scheduler (run, then its task instances). It is
    the order in which a flush of clearing's own writes them, too. Task instances are locked with ``FOR
    UPDATE`` at once, because clearing gives them new ids, which a weaker lock would have to be raised for: and
    two who raise a lock that they share wait for each other. Runs are locked as the scheduler locks them, so
    that nobody who only refers to a run waits.

How
    ``clear_task_instances`` is wrapped: it flushes what its caller has changed, locks and reads again, and puts
    the fresh task instances into the caller's list, since one that was cleared meanwhile has another id. One
    that is gone is left out.

What it leaves: which task instances are to be cleared (``only_failed``, ``only_running``) is chosen before that,
without a lock. Marking locks task instances before it clears those behind them, and so a run after its task
instances, with and without this fix (see ``marking_run_lock``).

Its tests: ``stress repro lost_clear`` (``tests/explore/test_twins.py``), ``tests/airflow/test_clearing_row_locks.py``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.models.taskinstance"
_FUNCTION = "clear_task_instances"


def lock_and_read_again(task_instance: Any, tis: list[Any], session: Any) -> list[Any]:
    """Lock the runs of task instances, then these: gives them as they are now, without those that are gone."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select, tuple_

    # What the caller has changed and not written would be lost when its objects are read again.
    session.flush()
    runs = {(ti.dag_id, ti.run_id) for ti in tis}
    of_runs = select(DagRun.id).where(tuple_(DagRun.dag_id, DagRun.run_id).in_(runs)).order_by(DagRun.id)
    session.execute(with_row_locks(of_runs, session=session, of=DagRun)).all()

    # Each is read with its run, by a join.
    key = (task_instance.dag_id, task_instance.run_id, task_instance.task_id, task_instance.map_index)
    positions = {(ti.dag_id, ti.run_id, ti.task_id, ti.map_index): position for position, ti in enumerate(tis)}
    of_tis = select(task_instance).where(tuple_(*key).in_(positions)).order_by(*key)
    of_tis = of_tis.execution_options(populate_existing=True)
    found = session.scalars(with_row_locks(of_tis, session=session, of=task_instance, key_share=False)).unique().all()
    return sorted(found, key=lambda ti: positions[ti.dag_id, ti.run_id, ti.task_id, ti.map_index])


def apply(module: ModuleType) -> None:
    """Wrap the function that clears."""
    stock = getattr(module, _FUNCTION)
    task_instance: Any = module.TaskInstance

    @functools.wraps(stock)
    def clear_task_instances(tis: list[Any], session: Any, *args: Any, **kwargs: Any) -> Any:
        if tis:
            tis[:] = lock_and_read_again(task_instance, tis, session)
        return stock(tis, session, *args, **kwargs)

    setattr(module, _FUNCTION, clear_task_instances)


FIX = Fix(
    name="clearing_row_locks",
    race="lost_clear",
    thread=0,
    summary="clearing locks runs and task instances, and reads them again, before it decides what to store",
    components=("api-server",),
    targets=(
        Target(_MODULE, _FUNCTION),
        Target(_MODULE, "TaskInstance.prepare_db_for_next_try"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.3.2", Fit.APPLIES),
    apply=apply,
)
