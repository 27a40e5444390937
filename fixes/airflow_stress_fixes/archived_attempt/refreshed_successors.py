"""Fix ``refreshed_successors``: a run's move to a new DAG version takes the successors that it waited for (3.4.0b2).

The defect
    ``_verify_integrity_if_dag_changed`` gives the run's unfinished task instances the new version with one UPDATE. An
    attempt that ends meanwhile (a retry, or the end of a task that was cleared while it ran) holds its row. When the
    end commits, the row is archived, so the UPDATE leaves it out; the successor was committed after the statement's
    snapshot, so the UPDATE does not find it either. The successor keeps the old version. Other task instances of the
    run have the new one, so each later round of the scheduler takes the run as moved: the next attempt runs old code.

The invariant
    Once a run has moved to a DAG version, all its unfinished task instances have this version.

Why the obvious repair is wrong
    The end of an attempt cannot read the new version: the scheduler has not committed it, because it waits for the
    row. A lock of the run in each of the four functions that end an attempt makes workers' reports wait for the
    scheduler.

How
    The UPDATE is repeated once, for the task instances that have another version. Its statement has a new snapshot,
    with the successors. Once is enough: after the first statement this transaction holds the rows of all other
    unfinished attempts, so that none of them can end, and a successor needs the scheduler, which holds the run.

On releases to 3.3.2
    No attempt is archived beside its successor: the row of the attempt stays, or an UPDATE gives it another id.

Its tests: ``tests/airflow/test_archived_attempt_refreshed_successors.py``,
``stress explore retry+dag_version_refresh restart_end+dag_version_refresh --airflow 3.4.0b2 --fixes fixed``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"


def behind(dag_run: Any, dag_version_id: Any) -> Any:
    """The condition on the run's unfinished task instances of another version."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import State
    from sqlalchemy import and_, or_

    return and_(
        TaskInstance.dag_id == dag_run.dag_id,
        TaskInstance.run_id == dag_run.run_id,
        or_(TaskInstance.state.in_(State.unfinished), TaskInstance.state.is_(None)),
        TaskInstance.dag_version_id.is_distinct_from(dag_version_id),
    )


def is_behind(dag_run: Any, dag_version_id: Any, session: Any) -> bool:
    """Whether the run has an unfinished task instance of another version."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    return session.scalar(select(TaskInstance.id).where(behind(dag_run, dag_version_id)).limit(1)) is not None


def move(dag_run: Any, dag_version_id: Any, session: Any) -> None:
    """Give the run's unfinished task instances of another version this version."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import update

    statement = update(TaskInstance).where(behind(dag_run, dag_version_id)).values(dag_version_id=dag_version_id)
    session.execute(statement, execution_options={"synchronize_session": False})


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner._verify_integrity_if_dag_changed``."""
    runner: Any = module.SchedulerJobRunner
    stock = runner._verify_integrity_if_dag_changed

    @functools.wraps(stock)
    def verify_integrity_if_dag_changed(self: Any, dag_run: Any, session: Any) -> Any:
        verify, has_version = dag_run.verify_integrity, dag_run.check_version_id_exists_in_dr

        def has_moved(dag_version_id: Any, *, session: Any) -> Any:
            found = has_version(dag_version_id, session=session)
            return None if found and is_behind(dag_run, dag_version_id, session) else found

        # It is called just after the UPDATE, and only if the run moves.
        def move_and_verify(*, dag_version_id: Any, session: Any) -> Any:
            move(dag_run, dag_version_id, session)
            return verify(dag_version_id=dag_version_id, session=session)

        dag_run.verify_integrity = move_and_verify
        dag_run.check_version_id_exists_in_dr = has_moved
        try:
            return stock(self, dag_run, session=session)
        finally:
            del dag_run.verify_integrity, dag_run.check_version_id_exists_in_dr

    runner._verify_integrity_if_dag_changed = verify_integrity_if_dag_changed


FIX = Fix(
    place=29,
    summary="a run's move to a new DAG version takes the successors of attempts that it waited for",
    components=("scheduler",),
    targets=(
        Target(_MODULE, "SchedulerJobRunner._verify_integrity_if_dag_changed"),
        # Who archives an attempt and inserts its successor.
        Target("airflow.models.taskinstance", "TaskInstance.prepare_db_for_next_try"),
    ),
    releases={**spread("3.1.0..3.3.2", Fit.NOT_NEEDED), **spread("3.4.0b2", Fit.APPLIES)},
    apply=apply,
)
