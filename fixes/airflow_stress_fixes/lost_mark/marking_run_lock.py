"""Fix ``marking_run_lock``: marking locks the run before its task instances, as the scheduler does (3.1.0 to 3.4.0b2).

The defect
    Marking a task locks its task instance, stores the state, and clears the failed tasks behind it in the same
    transaction. It does not lock the run, which a scheduler may be examining.

    - 3.1: the scheduler has read the task instances, and stores "scheduled" (or "success", of a task that does
      nothing) without a look at the state that is there: the mark is gone, though it was answered 200.
    - From 3.2 on that look is there, but clearing always writes the run: so marking holds a task instance and
      asks for the run, while the scheduler holds the run and asks for its task instances. PostgreSQL ends that
      with ``deadlock detected``, and the request to mark the task is answered 500. With ``clearing_row_locks``, which
      locks the run always, it would be the same in 3.1.

The invariant
    Marking stores nothing of a run that it has not locked, and it waits for a run only while it holds no task
    instance of it. The scheduler takes the run first, too, and passes over runs that are locked: so no two of
    them can wait for each other over one run, and neither works beside the other.

Why the obvious repair is wrong
    Skipping task instances that are locked, or trying again, stores the mark for some of them only, or with a
    state that was read before.

How
    ``set_state`` locks the runs that it is going to touch, in the order of (dag_id, run_id), before it does anything.
    It is looked up by its name in each call. With ``future`` or ``past`` these are not only the runs whose task
    instances it marks, which are those of the schedule's dates: the clearing behind it takes all runs from this
    logical date on, or up to it, also those that a person triggered, and would lock these out of order.

On 3.4
    The requests that mark task instances lock their runs first (``lock_dag_runs``), so that the above is gone. With
    ``future`` or ``past`` these are the runs of the schedule's dates only. The clearing behind locks the others, those
    that a person triggered, when the first are held already. By the source that is a cycle with a request that clears
    both in the order of (dag_id, run_id); no test has shown the deadlock. So the runs that such a request is going to
    lock are those that the clearing takes, too.

What it leaves: with ``future`` or ``past`` it locks runs in which nothing will turn out to be cleared. On
3.2.0 and 3.2.1 a state update locks the task instance before the run, and so is in a cycle with this one, as with the
scheduler: ``state_update_lock_scope`` belongs to it. A request to mark a whole run has changed task instances before
(``_set_dag_run_terminal_state``).

Its tests: ``stress repro lost_mark`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_lost_mark_marking_run_lock.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.api.common.mark_tasks"
_FUNCTION = "set_state"
_REQUESTS = "airflow.api_fastapi.core_api.services.public.task_instances"
_LOCK = "_lock_patch_runs"
_RUN_IDS = "get_run_ids"


def touched_runs(run_ids: Iterable[str], dag_id: str, run_id: str, future: bool, past: bool, session: Any) -> Any:
    """The condition on runs whose task instances are marked, or cleared behind that."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import and_, false, or_, select

    touched: Any = DagRun.run_id.in_(list(run_ids))
    if future or past:
        date = session.scalar(select(DagRun.logical_date).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if date is not None:
            touched = or_(touched, DagRun.logical_date >= date if future else false())
            touched = or_(touched, DagRun.logical_date <= date if past else false())
    return and_(DagRun.dag_id == dag_id, touched)


def apply(module: ModuleType) -> None:
    """Wrap the function that stores a mark."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select

    stock = getattr(module, _FUNCTION)

    @replacing(module, _FUNCTION)
    def set_state(*, tasks: Any, run_id: Any = None, commit: bool = False, session: Any = None, **options: Any) -> Any:
        if session is None:  # a separate transaction, in which nothing is cleared
            return stock(tasks=tasks, run_id=run_id, commit=commit, **options)
        if commit and tasks and run_id:
            first = next(iter(tasks))
            dag = (first[0] if isinstance(first, tuple) else first).dag
            future, past = bool(options.get("future")), bool(options.get("past"))
            ids = module.get_run_ids(dag, run_id, future, past, session=session)
            runs = select(DagRun.id).where(touched_runs(ids, dag.dag_id, run_id, future, past, session))
            runs = runs.order_by(DagRun.dag_id, DagRun.run_id)
            session.execute(with_row_locks(runs, session=session, of=DagRun)).all()
        return stock(tasks=tasks, run_id=run_id, commit=commit, session=session, **options)


def apply_to_requests(module: ModuleType) -> None:
    """Since 3.4: widen what requests lock before anything else. They look the function up by name, for nothing else."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    if not hasattr(module, _LOCK):
        return
    stock = getattr(module, _RUN_IDS)

    @replacing(module, _RUN_IDS)
    def get_run_ids(dag: Any, run_id: str, future: bool, past: bool, *, session: Any) -> list[str]:
        ids = stock(dag, run_id, future, past, session=session)
        runs = select(DagRun.run_id).where(touched_runs(ids, dag.dag_id, run_id, future, past, session))
        return list(session.scalars(runs))


FIX = Fix(
    place=11,
    summary="marking locks the run before its task instances, as scheduling and clearing do",
    components=("api-server",),
    targets=(
        Target(_MODULE, _FUNCTION),
        Target(_MODULE, _RUN_IDS),
        Target(_REQUESTS, _LOCK),
        Target(_REQUESTS, "BulkTaskInstanceService._handle_regional_bulk"),
        # What is done in the same transaction, before and after: 3.1, since 3.2.
        Target("airflow.api_fastapi.core_api.routes.public.task_instances", "patch_task_instance"),
        Target("airflow.serialization.serialized_objects", "SerializedDAG.set_task_instance_state"),
        Target("airflow.serialization.definitions.dag", "SerializedDAG.set_task_instance_state"),
        Target("airflow.models.taskinstance", "clear_task_instances"),
        Target("airflow.models.dagrun", "DagRun.get_running_dag_runs_to_examine"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
    also={_REQUESTS: apply_to_requests},
)
