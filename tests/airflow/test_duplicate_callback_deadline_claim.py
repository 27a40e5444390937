"""Two schedulers, one missed deadline: how many callback triggers are made (#64710's first cause)."""

from __future__ import annotations

from typing import Any

import pytest
from dag_data import add_expired_deadlines, running_run
from parties import Party

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

SELECTS_DEADLINES = r"FROM deadline\s+WHERE deadline\.deadline_time <"
MAKES_TRIGGER = r"INSERT INTO trigger "


def one_scheduler_loop() -> None:
    """One real turn of a scheduler's loop."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.utils.session import create_session
    from idle_executor import IdleExecutor

    with create_session() as session:
        job = Job(job_type=SchedulerJobRunner.job_type)
        session.add(job)
        session.flush()
        session.expunge(job)
    executor = IdleExecutor()
    executor.job_id = job.id
    job.__dict__["executors"] = [executor]
    runner = SchedulerJobRunner(job=job, num_runs=1, scheduler_idle_sleep_time=0)
    runner.executors = [executor]
    runner._run_scheduler_loop()


def both_inside(database: Any) -> int:
    """The second scheduler selects, handles and commits while the first one is handling."""
    first = Party("first", one_scheduler_loop).stop("before", MAKES_TRIGGER).run_to_stop()
    Party("second", one_scheduler_loop).start().result()
    first.resume().result()
    return int(database.count("trigger"))


def one_behind(database: Any) -> int:
    """The second scheduler has selected it; the first handles it and commits; the second goes on."""
    second = Party("second", one_scheduler_loop).stop("after", SELECTS_DEADLINES).run_to_stop()
    Party("first", one_scheduler_loop).start().result()
    second.resume().result()
    return int(database.count("trigger"))


@pytest.mark.parametrize("fix", ["deadline_claim", "proposed_deadline_row_lock"])
@pytest.mark.parametrize("schedule", [both_inside, one_behind])
def test_one_trigger_for_one_missed_deadline(
    database: Any, mounted: Any, release: str, fix: str, schedule: Any
) -> None:
    add_expired_deadlines(running_run("stock"), 1)
    expected_on_stock = 2 if FIXES[fix].fits(release) is Fit.APPLIES else 1

    assert schedule(database) == expected_on_stock

    add_expired_deadlines(running_run("fixed"), 1)
    with mounted(fix) as status:
        assert status[fix] == ("loaded" if expected_on_stock == 2 else "not_needed")
        assert schedule(database) == expected_on_stock + 1
