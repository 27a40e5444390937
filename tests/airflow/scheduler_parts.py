"""The scheduler's side of the deadlock: holds dag runs, and gives their tasks the new DAG version."""

from __future__ import annotations

import inspect
from typing import Any

from dag_data import Run


def runs_to_examine(session: Any) -> list[Any]:
    """The running dag runs, locked as the scheduler's loop locks them."""
    from airflow.models.dagrun import DagRun

    examine: Any = DagRun.get_running_dag_runs_to_examine
    since_3_4 = {"eagerly_load_dag_tags"} & inspect.signature(examine).parameters.keys()
    return list(examine(session=session, **dict.fromkeys(since_3_4, False)))


def refresh_dag_version(run: Run) -> bool:
    """As the scheduler: lock the running dag runs, verify this run's integrity, commit."""
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session

    # Without its job, which only the parts that we don't call need.
    runner = object.__new__(SchedulerJobRunner)
    runner.scheduler_dag_bag = DBDagBag()
    with create_session(scoped=False) as session:
        locked = {r.id: r for r in runs_to_examine(session)}
        return bool(runner._verify_integrity_if_dag_changed(locked[run.id], session=session))
