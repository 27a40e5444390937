"""Fix ``run_marking_row_locks``: marking a run works on rows that it has locked and read again (3.1.0 to 3.4.0b2).

The defect
    ``set_dag_run_state_to_failed`` and ``..._to_success`` read the run's task instances without a lock, and store a
    state for each that looked unfinished: a success that a worker reported meanwhile, and that was answered 204, is
    overwritten, and so is what a trigger's event, a start or a clearing has stored. They write the task instances
    before the run, and the scheduler the run before its task instances: with it they deadlock. Up to 3.3.0,
    ``..._to_failed`` stores each task instance that it skips in a separate transaction, before the rest.

The invariant
    Marking a run holds the locks of the run and then of the task instances that it will write, has read both under
    these locks, and stores everything in one transaction.

Why the obvious repair is wrong
    Locking the task instances around Airflow's function makes it wait for itself up to 3.3.0: the transactions of
    its own ask for the rows that the request holds. Locking the run alone keeps the scheduler out, but no worker,
    which locks its task instance only. Locking all task instances of the run, in any order, deadlocks with
    ``Trigger.clean_unused``: each triggerer updates the *finished* task instances that still name a trigger about
    once a second, in one statement, and takes them in the order of its scan.

Lock order
    The run, as the scheduler locks it, then the task instances by id, with ``FOR NO KEY UPDATE``: marking changes no
    key, so that rows which refer to a task instance (XComs, rendered fields) can be inserted meanwhile. Only rows that
    will be written are locked: the unfinished ones, and for success up to 3.3.0 all that are no success yet.
    The locks are held for the flush and the commit that follow; no statement a task instance comes in between.

How
    Both functions are wrapped. Where Airflow's function skips task instances in sessions of their own, they are
    skipped here, by the request's session, so that it finds none to skip; it does the rest.

What it leaves
    One request that marks several runs locks them in the order in which it marks them. Several task instances whose
    trigger has timed out at that moment: the scheduler's sweep locks them in the order of its scan, and can deadlock
    with this order, as it can with the order of stock's own flush. ``sweep_row_claims`` removes that, from the
    sweep's side.

Its tests: ``stress repro lost_mark`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_lost_mark_run_marking_row_locks.py`` and ``tests/airflow/test_row_order.py``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.api.common.mark_tasks"
_FUNCTIONS = ("set_dag_run_state_to_failed", "set_dag_run_state_to_success")


def lock(dag_id: str, run_id: str, session: Any, finished: Iterable[Any]) -> list[Any]:
    """Lock a run, then those of its task instances that are in none of these states; gives these as they are now."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import or_, select

    # What the caller has changed and not written would be lost when its objects are read again.
    session.flush()
    of_run = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    of_run = of_run.execution_options(populate_existing=True)
    session.scalars(with_row_locks(of_run, session=session, of=DagRun)).unique().all()
    # By SQLAlchemy's attributes, which the type checker takes for their values.
    instance: Any = TaskInstance
    unfinished = or_(instance.state.is_(None), instance.state.not_in(list(finished)))
    of_tis = select(instance).where(instance.dag_id == dag_id, instance.run_id == run_id, unfinished)
    of_tis = of_tis.order_by(instance.id).execution_options(populate_existing=True)
    return list(session.scalars(with_row_locks(of_tis, session=session, of=instance)).unique().all())


def apply(module: ModuleType) -> None:
    """Wrap the functions that mark a run."""
    for name in _FUNCTIONS:
        _wrap(module, name)


def _wrap(module: ModuleType, name: str) -> None:
    from airflow.utils.session import create_session
    from airflow.utils.state import State, TaskInstanceState

    stock = getattr(module, name)
    # Whether it skips task instances itself, in sessions of their own: until 3.3.0, and only for failed.
    names = inspect.unwrap(stock).__code__.co_names
    skips = "SKIPPED" in names
    # Up to 3.3.0 success is stored for every task instance that is no success, whether it has finished or not.
    success_of_all = name == "set_dag_run_state_to_success" and not skips and "_set_dag_run_terminal_state" not in names
    left_alone = {TaskInstanceState.SUCCESS} if success_of_all else State.finished
    marked = {TaskInstanceState.RUNNING, TaskInstanceState.DEFERRED, TaskInstanceState.UP_FOR_RESCHEDULE}
    # Since 3.3; there it is marked as those that run.
    marked |= {state for state in TaskInstanceState if state.value == "awaiting_input"}

    @replacing(module, name)
    def set_dag_run_state(*, dag: Any, run_id: Any = None, commit: bool = False, session: Any = None) -> Any:
        if session is None:
            with create_session() as own:
                return set_dag_run_state(dag=dag, run_id=run_id, commit=commit, session=own)
        if not (commit and dag and run_id):
            return stock(dag=dag, run_id=run_id, commit=commit, session=session)
        skipped = []
        for ti in lock(dag.dag_id, run_id, session, left_alone):
            task = dag.task_dict.get(ti.task_id)
            if skips and task is not None and not task.is_teardown and ti.state not in State.finished | marked:
                ti.set_state(TaskInstanceState.SKIPPED, session=session)
                skipped.append(ti)
        session.flush()
        done = stock(dag=dag, run_id=run_id, commit=commit, session=session)
        return [*skipped, *done] if skipped else done


FIX = Fix(
    place=12,
    summary="marking a run locks it and its task instances, and reads them again, before it decides what to store",
    components=("api-server",),
    targets=(
        *(Target(_MODULE, name) for name in _FUNCTIONS),
        Target(_MODULE, "_set_dag_run_state"),
        Target(_MODULE, "_set_dag_run_terminal_state"),
        Target(_MODULE, "set_state"),
        # Its caller, until 3.2 and since 3.3; and with what it must not deadlock.
        Target("airflow.api_fastapi.core_api.routes.public.dag_run", "patch_dag_run"),
        Target("airflow.api_fastapi.core_api.services.public.dag_run", "patch_dag_run_state"),
        Target("airflow.models.trigger", "Trigger.clean_unused"),
        Target("airflow.models.taskinstance", "TaskInstance.set_state"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
