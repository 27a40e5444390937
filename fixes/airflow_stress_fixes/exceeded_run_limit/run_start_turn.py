"""Fix ``run_start_turn``: one scheduler at a time starts queued runs (#45388, #56646; 3.1.0 to 3.4.0b2).

The defect
    ``_start_queued_dagruns`` locks queued runs (``FOR UPDATE SKIP LOCKED``, 20 of them), counts the running runs of
    each DAG with a plain SELECT, and starts runs until ``max_active_runs`` is reached. Two schedulers lock different
    runs of one DAG, both count before either commits, and both start runs. (Runs of a backfill are safe: their
    backfill's row is locked first.)

The invariant
    A scheduler counts running runs, and starts queued ones, only while it has the turn to start runs. The turn lasts
    until its commit, so that the next one counts what it has started.

Why the obvious repair is wrong
    A lock on the counted runs does not exclude the other scheduler, which starts runs that are not running yet: there
    is no row that both touch. A lock on the DAG's row, as backfills have one, is such a row, but it excludes the DAG
    processor, too, which locks the rows of all DAGs of a file while it writes them, and the scheduler's own creation
    of runs. Counting again after the commit finds the excess and cannot take it back: tasks may run by then.

How
    ``_start_queued_dagruns`` takes a transaction's advisory lock first, as ``_executable_task_instances_to_queued``
    does for its critical section. It does not wait: a scheduler without the turn starts no run in this round of its
    loop. No row is locked that stock does not lock, and nothing waits for anything, so it is part of no deadlock. The
    lock has two numbers; Airflow's own advisory locks have one, which is another space of keys.

What it leaves: other databases than PostgreSQL, where it does nothing. The schedulers take turns over the runs of all
DAGs. A listener of run states that is slow is called within the turn. A limit that a user lowers is not enforced on
runs that run.

Its tests: ``stress repro exceeded_run_limit`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_exceeded_run_limit_run_start_turn.py``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner._start_queued_dagruns``."""
    runner: Any = module.SchedulerJobRunner
    stock = runner._start_queued_dagruns

    @functools.wraps(stock)
    def start_queued_dagruns(self: Any, session: Any) -> None:
        from sqlalchemy import func, select

        # Two numbers that nothing else uses: the first report's, and 1. Other databases have no such lock.
        other = session.get_bind().dialect.name != "postgresql"
        if other or session.scalar(select(func.pg_try_advisory_xact_lock(45388, 1))):
            stock(self, session)

    runner._start_queued_dagruns = start_queued_dagruns


FIX = Fix(
    thread=45388,
    place=21,
    summary="schedulers take turns in counting running runs and starting queued ones",
    components=("scheduler",),
    targets=(
        Target(_MODULE, "SchedulerJobRunner._start_queued_dagruns"),
        Target(_MODULE, "SchedulerJobRunner._do_scheduling"),
        Target("airflow.models.dagrun", "DagRun.get_queued_dag_runs_to_set_running"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
