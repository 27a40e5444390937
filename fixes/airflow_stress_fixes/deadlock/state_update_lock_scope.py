"""Fix ``state_update_lock_scope``: a task's state update locks its own row only (#66734, 3.2.0 and 3.2.1).

The defect
    ``PATCH /execution/task-instances/{id}/state`` reads the task instance with ``session.get(TI, id,
    with_for_update=True)``. The task instance loads its dag run by a join, so ``FOR UPDATE`` locks *both*
    rows: task instance, then dag run. The scheduler holds the dag run and asks for its task instances (it
    gives all unfinished ones the new DAG version in one UPDATE). That is a cycle, and PostgreSQL ends it
    with ``deadlock detected``.

The invariant
    The state update locks no row of ``dag_run``. Then it waits for nothing that the holder of a dag run
    could hold while waiting for it, and this pair can't form a cycle, for any other change of the task
    instance.

Why the obvious repair is wrong
    The report blames the order of index scans and makes the scheduler lock its rows in order of their ids
    (``proposed_ordered_version_refresh``). A locker of one single row can't be in a cycle by order of rows.
    What breaks the cycle there is ``SKIP LOCKED``, and its price is that a skipped row keeps the old DAG
    version.

How
    Two calls do it: one in ``_create_ti_state_update_query_and_update_state`` and one in the error handler
    of the route function, which the web framework holds by reference, out of reach of a patch of the module.
    But the route calls the first function by its global name, before anything can go to the handler, and
    passes it the request's session: so that function is wrapped, and makes this one session's ``get`` lock
    the entity's own table. The session lives as long as the request.

What it leaves: the error handler of these releases uses the session of a failed transaction and answers 500.

Its test: ``tests/airflow/test_deadlock_state_update_lock_scope.py``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.api_fastapi.execution_api.routes.task_instances"
_FUNCTION = "_create_ti_state_update_query_and_update_state"


def narrow_locks(session: Any) -> None:
    """Make this session's ``get(..., with_for_update=True)`` lock the entity's row, not the joined ones."""
    if "get" in vars(session):
        return
    stock = session.get

    @functools.wraps(stock)
    def get(entity: Any, ident: Any, *, with_for_update: Any = None, **options: Any) -> Any:
        if with_for_update is True:
            with_for_update = {"of": entity}
        return stock(entity, ident, with_for_update=with_for_update, **options)

    session.get = get


def apply(module: ModuleType) -> None:
    """Wrap the function that builds the update."""
    stock = getattr(module, _FUNCTION)

    @replacing(module, _FUNCTION)
    def create_update(*, session: Any, **arguments: Any) -> Any:
        narrow_locks(session)
        return stock(session=session, **arguments)


FIX = Fix(
    thread=66734,
    place=4,
    summary="a task's state update locks its task instance and not the dag run joined to it",
    components=("api-server",),
    targets=(
        Target(_MODULE, _FUNCTION),
        Target(_MODULE, "ti_update_state"),
        # The other side: holds the run, and asks for its task instances.
        Target("airflow.jobs.scheduler_job_runner", "SchedulerJobRunner._verify_integrity_if_dag_changed"),
        Target("airflow.models.dagrun", "DagRun.get_running_dag_runs_to_examine"),
    ),
    releases={
        # Before 3.2 the state update locked columns of the task instance alone.
        **spread("3.1.0..3.1.8", Fit.NOT_NEEDED),
        **spread("3.2.0..3.2.1", Fit.APPLIES),
        **spread("3.2.2..3.4.0b2", Fit.NOT_NEEDED),
    },
    apply=apply,
)
