"""Fix ``run_marking_row_locks``: marking a run works on rows that it has locked and read again (3.1.0 to 3.3.2).

The defect
    ``set_dag_run_state_to_failed`` and ``..._to_success`` read the run's task instances without a lock, and store a
    state for each that looked unfinished: a success that a worker reported meanwhile, and that was answered 204, is
    overwritten, and so is what a trigger's event, a start or somebody's clearing has stored. They write the
    task instances before the run, and the scheduler the run before its task instances: with it they deadlock.
    Up to 3.2 each task instance that is skipped is stored in a transaction of its own, before the rest.

The invariant
    Marking a run holds the locks of the run and then of its task instances, has read both under these locks,
    and stores everything in one transaction.

Why the obvious repair is wrong
    Locking the task instances around Airflow's function makes it wait for itself up to 3.2: the transactions of
    its own ask for the rows that the request holds. Locking the run alone keeps the scheduler out, but no worker,
    who locks its task instance only.

How
    Both functions are wrapped. The run is locked as the scheduler locks it, then the task instances by their keys, as
    ``clearing_row_locks`` does. Where Airflow's function skips task instances in sessions of their own, they are
    skipped here, by the request's session, so that it finds none to skip; it does the rest.

What it leaves: several runs that one request marks are locked in the order in which it marks them.

Its tests: ``stress repro lost_mark`` (``tests/explore/test_twins.py``) and
``tests/airflow/test_run_marking_row_locks.py``.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.api.common.mark_tasks"
_FUNCTIONS = ("set_dag_run_state_to_failed", "set_dag_run_state_to_success")


def lock(dag_id: str, run_id: str, session: Any) -> list[Any]:
    """Lock a run, then its task instances; gives these as they are now."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select

    # What the caller has changed and not written would be lost when its objects are read again.
    session.flush()
    of_run = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    of_run = of_run.execution_options(populate_existing=True)
    session.scalars(with_row_locks(of_run, session=session, of=DagRun)).unique().all()
    # By SQLAlchemy's attributes, which the type checker takes for their values.
    instance: Any = TaskInstance
    key = (instance.task_id, instance.map_index)
    of_tis = select(instance).where(instance.dag_id == dag_id, instance.run_id == run_id).order_by(*key)
    of_tis = of_tis.execution_options(populate_existing=True)
    return list(session.scalars(with_row_locks(of_tis, session=session, of=instance)).unique().all())


def apply(module: ModuleType) -> None:
    """Wrap the functions that mark a run."""
    for name in _FUNCTIONS:
        _wrap(module, name)


def _wrap(module: ModuleType, name: str) -> None:
    from airflow.utils.session import create_session
    from airflow.utils.state import State, TaskInstanceState

    stock = getattr(module, name)
    # Whether it skips task instances itself: until 3.3.0, but for success, which marks all of them until 3.2.1.
    skips = "SKIPPED" in inspect.unwrap(stock).__code__.co_names
    marked = {TaskInstanceState.RUNNING, TaskInstanceState.DEFERRED, TaskInstanceState.UP_FOR_RESCHEDULE}
    # Since 3.3; there it is marked as those that run.
    marked |= {state for state in TaskInstanceState if state.value == "awaiting_input"}

    @functools.wraps(stock)
    def set_dag_run_state(*, dag: Any, run_id: Any = None, commit: bool = False, session: Any = None) -> Any:
        if session is None:
            with create_session() as own:
                return set_dag_run_state(dag=dag, run_id=run_id, commit=commit, session=own)
        if not (commit and dag and run_id):
            return stock(dag=dag, run_id=run_id, commit=commit, session=session)
        skipped = []
        for ti in lock(dag.dag_id, run_id, session):
            task = dag.task_dict.get(ti.task_id)
            if skips and task is not None and not task.is_teardown and ti.state not in State.finished | marked:
                ti.set_state(TaskInstanceState.SKIPPED, session=session)
                skipped.append(ti)
        session.flush()
        done = stock(dag=dag, run_id=run_id, commit=commit, session=session)
        return [*skipped, *done] if skipped else done

    setattr(module, name, set_dag_run_state)


FIX = Fix(
    name="run_marking_row_locks",
    race="lost_mark",
    thread=0,
    summary="marking a run locks it and its task instances, and reads them again, before it decides what to store",
    components=("api-server",),
    targets=(
        *(Target(_MODULE, name) for name in _FUNCTIONS),
        Target(_MODULE, "_set_dag_run_state"),
        Target(_MODULE, "_set_dag_run_terminal_state"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.3.2", Fit.APPLIES),
    apply=apply,
)
