"""Fix ``fail_fast_lock_order``: a failure ends a ``fail_fast`` run's other tasks as they are, not as they were.

The defect
    When a worker reports that a task of a ``fail_fast`` DAG has failed, the api-server ends the run's other
    tasks. It holds the row of the task that failed, reads all task instances without a lock, and writes to
    each that did not look finished. Three things follow:
    a success that another worker reported meanwhile, and that was answered 204, is overwritten with failed;
    two failures of one run each hold their own row and wait for the other's: a deadlock; and since the first
    task that is ended commits, the rest happens with no lock at all: even the own row, which was checked in the
    beginning, is written at the end, in any state that it has by then. On 3.2.0 and 3.2.1, where each report locks the
    dag run, too, the first is a deadlock as well.

The invariant
    All that a failure ends was unfinished under its row's lock, and all of it, with the failure itself, is one
    transaction. The locks are taken in the order in which Airflow's scheduler takes them, the dag run before
    its task instances, and the task instances in the order of their ids, as SQLAlchemy writes them; nothing is
    locked while the run is waited for. Only rows that will be written are locked, with ``FOR NO KEY UPDATE``: no
    key changes, so that the run's other workers can store XComs and rendered fields meanwhile, and task instances
    that have finished are left alone, however many there are.

Why the obvious repair is wrong
    Reading the others with ``FOR UPDATE`` stops the overwriting, and makes the deadlock certain: the own row is
    held already. ``SKIP LOCKED`` avoids that, and every task goes on that another transaction has locked then: two
    tasks that fail together would both let the third one go. One transaction for each task has no deadlock, but
    two failures can then end each other, and a crash leaves a run half ended.

How
    The own row's lock, the only thing the request has by then, is given back, and all locks are taken anew, in
    order. Then the own row is looked at again. If the task still runs, Airflow's own code does the rest; a commit
    in its middle becomes a flush. If it doesn't, the report came second: the route is asked again, under these
    locks, and its answer is the answer. That has to get past the route's error handler, which would store
    "failed": what the handler does first with the request's session (``rollback`` since 3.3.1, ``get`` before)
    raises it. Upstream would need none of this: the route can lock the run before its task instance if the DAG is
    ``fail_fast``, and end the others by an UPDATE of those that have not finished. From outside, a route function
    can't be replaced: the web framework holds it.

What it leaves
    A scheduler that handles a failure itself (a worker that died, say) ends the others by the same code, in a
    session that holds other locks; that stays as it is. A success of another report that failed half-way in this
    route's error handler is rolled back whole in ``fail_fast`` DAGs, as 3.3.1 does in all. Which unfinished and
    finished states are ended is Airflow's choice, untouched. 3.2.0 and 3.2.1 need ``state_update_lock_scope``
    beside it: without, every other report still locks its task before its run. The gate of a loop (3.4) is left to
    stock: its report locks the run first, and what it has decided under that lock must not be given back.

Its tests: ``stress repro fail_fast`` (``tests/explore/test_reproducers.py``) and
``tests/airflow/test_fail_fast_lock_order.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.api_fastapi.execution_api.routes.task_instances"
_UPDATE = "_create_ti_state_update_query_and_update_state"
_STOP = "_stop_remaining_tasks"

_LEFT_ALONE = ("success", "failed", "skipped")
"""States that stock code does not end, or that it would set again."""


def lock_run(session: Any, dag_id: str, run_id: str, own: Any) -> str | None:
    """Lock a dag run, then the own task instance and those that a failure ends; the own state under the lock."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import or_, select

    run = select(DagRun.id).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    # FOR NO KEY UPDATE: rows that point to the run may still be added.
    session.execute(run.with_for_update(key_share=True))
    # By SQLAlchemy's attributes, which the type checker takes for their values.
    instance: Any = TaskInstance
    ended = or_(instance.id == own, instance.state.is_(None), instance.state.not_in(_LEFT_ALONE))
    instances = (
        select(instance.id, instance.state)
        .where(instance.dag_id == dag_id, instance.run_id == run_id, ended)
        .order_by(instance.id)
        .with_for_update(of=instance, key_share=True)
    )
    return {row.id: row.state for row in session.execute(instances)}.get(own)


def answer_in_handler(session: Any, answer: Callable[[], Any]) -> None:
    """Make the first thing that the route's error handler does with this session end the request with an answer."""
    from fastapi import HTTPException

    def end(*_arguments: Any, **_options: Any) -> None:
        del session.get, session.rollback
        response = answer()  # raises it, or
        raise HTTPException(response.status_code, detail="")

    session.get = session.rollback = end


def apply(module: ModuleType) -> None:
    """Wrap the function that ends the other tasks, and the one that builds the update."""
    from fastapi import HTTPException

    stop, update, route = getattr(module, _STOP), getattr(module, _UPDATE), module.ti_update_state
    gate = getattr(module, "LOOP_GATE_OPERATOR", None)

    @replacing(module, _STOP)
    def stop_remaining_tasks(*, task_instance: Any, session: Any, **arguments: Any) -> None:
        if gate is not None and task_instance.operator == gate:
            stop(task_instance=task_instance, session=session, **arguments)
            return
        own, dag_id, run_id = task_instance.id, task_instance.dag_id, task_instance.run_id
        session.rollback()
        state = lock_run(session, dag_id, run_id, own)
        if state != "running":
            detail = {"reason": "invalid_state", "message": "The task no longer runs", "previous_state": state}
            ended = HTTPException(409, detail)
            # Another request ended the task before these locks were granted. The error handler answers with this.
            vars(ended)["no_longer_runs"] = True
            raise ended
        session.commit = session.flush
        try:
            stop(task_instance=task_instance, session=session, **arguments)
        finally:
            del session.commit

    @replacing(module, _UPDATE)
    def create_update(*, session: Any, **arguments: Any) -> Any:
        try:
            return update(session=session, **arguments)
        except HTTPException as error:
            if "no_longer_runs" not in vars(error):
                raise
            instance = arguments.get("task_instance_id") or arguments["ti_id_str"]
            payload, bag = arguments["ti_patch_payload"], arguments["dag_bag"]
            answer_in_handler(session, lambda: route(instance, payload, session=session, dag_bag=bag))
            raise


FIX = Fix(
    place=7,
    summary="a failure ends a fail_fast run's other tasks in one transaction, with locks in the scheduler's order",
    components=("api-server",),
    targets=(
        Target(_MODULE, _UPDATE),
        Target(_MODULE, "ti_update_state"),
        Target(_MODULE, "_handle_fail_fast_for_dag"),
        Target("airflow.models.taskinstance", _STOP),
        Target("airflow.models.dagrun", "DagRun.get_running_dag_runs_to_examine"),
        Target("airflow.models.taskinstance", "TaskInstance.error"),
        Target("airflow.models.taskinstance", "TaskInstance.set_state"),
        Target("airflow.models.dagrun", "DagRun.fetch_task_instances"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
