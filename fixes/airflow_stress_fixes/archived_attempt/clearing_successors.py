"""Fix ``clearing_successors``: a clear takes the successors of the attempts that it has selected (3.4.0b2).

The defect
    ``POST dags/{dag_id}/clearTaskInstances`` locks the runs, selects the task instances, and reads these again by their
    ids. An attempt that ends between the two (a retry, or the end of a task that was cleared while it ran) is archived,
    and its successor has another id. The second statement finds nothing. The request clears nothing and is answered
    200: the task runs after its retry delay, with the tries that are left.

The invariant
    A request clears each task instance that it has selected under the locks of the runs, in its live attempt.

Why the obvious repair is wrong
    A lock of the rows where they are selected holds them during all that the request prepares; heartbeats wait for
    these. The second statement without a condition on ids would have to repeat the selection.

How
    The selection notes the keys of what it has found, in the session that holds the runs. Before the route clears, it
    adds the live attempts of keys that the second statement did not find. A commit of upstream's would read by key in
    the second statement.

What it leaves: a DAG with loops, whose route selects in another way; an attempt that is named by its id
(``task_instance_ids``), which is answered 409, as it promises; whether the whole of a mapped task is cleared, which the
route decides by what it found.

Its tests: ``tests/airflow/test_archived_attempt_clearing_successors.py``,
``stress explore retry+clearing restart_end+clearing --airflow 3.4.0b2 --fixes fixed``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.serialization.definitions.dag"
_ROUTES = "airflow.api_fastapi.core_api.routes.public.task_instances"
_FUNCTION = "clear_task_instances"

_SELECTED = "selected_to_clear"
"""In the session: the transaction that has selected, and the keys."""


def key_of(ti: Any) -> tuple[Any, ...]:
    """What names a task instance of any attempt."""
    return ti.dag_id, ti.run_id, ti.task_id, ti.region_id, ti.region_index


def live_attempts(keys: set[Any], session: Any) -> list[Any]:
    """The live attempts of task instances, by their keys."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select, tuple_

    columns = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id)
    named = tuple_(*columns, TaskInstance.region_id, TaskInstance.region_index).in_(sorted(keys))
    return list(session.scalars(select(TaskInstance).where(named).execution_options(populate_existing=True)))


def apply(module: ModuleType) -> None:
    """Wrap ``SerializedDAG.clear``, which selects."""
    dag: Any = module.SerializedDAG
    stock = dag.clear

    @functools.wraps(stock)
    def clear(self: Any, *args: Any, session: Any = None, **kwargs: Any) -> Any:
        if session is None:
            return stock(self, *args, **kwargs)
        found = stock(self, *args, session=session, **kwargs)
        if kwargs.get("dry_run") and not kwargs.get("only_new"):
            session.info[_SELECTED] = (session.get_transaction(), {key_of(ti) for ti in found})
        return found

    dag.clear = clear


def apply_to_routes(module: ModuleType) -> None:
    """Wrap the function that the route calls to clear, of a DAG without loops, in this module alone."""
    if not hasattr(module, "lock_dag_runs"):
        return
    stock = getattr(module, _FUNCTION)

    @replacing(module, _FUNCTION)
    def clear_task_instances(tis: list[Any], session: Any, *args: Any, **kwargs: Any) -> Any:
        transaction, keys = session.info.pop(_SELECTED, (None, set()))
        missing = keys - {key_of(ti) for ti in tis} if transaction is session.get_transaction() else set()
        if missing:
            tis = [*tis, *live_attempts(missing, session)]
        return stock(tis, session, *args, **kwargs)


FIX = Fix(
    place=30,
    summary="a clear takes the successors of attempts that ended after it had selected them",
    components=("api-server",),
    targets=(
        Target(_MODULE, "SerializedDAG.clear"),
        Target(_ROUTES, "post_clear_task_instances"),
        # Who archives an attempt and inserts its successor.
        Target("airflow.models.taskinstance", "TaskInstance.prepare_db_for_next_try"),
    ),
    releases={**spread("3.1.0..3.3.2", Fit.NOT_NEEDED), **spread("3.4.0b2", Fit.APPLIES)},
    apply=apply,
    also={_ROUTES: apply_to_routes},
)
