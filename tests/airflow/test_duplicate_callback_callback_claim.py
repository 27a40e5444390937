"""Two schedulers, one synchronous callback that waits for an executor: how often it is queued."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from dag_data import NOW, running_run
from parties import Party

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "callback_claim"
SELECTS_CALLBACKS = r"FROM callback\s+WHERE callback\.type ="


def waiting_callbacks(dag_id: str, count: int) -> None:
    """Callbacks of missed deadlines, as a scheduler without a free slot leaves them."""
    from airflow.models.deadline import Deadline
    from airflow.sdk import SyncCallback
    from airflow.utils.session import create_session
    from sqlalchemy import select

    run = running_run(dag_id)
    with create_session() as session:
        for _ in range(count):
            session.add(
                Deadline(
                    deadline_time=NOW - datetime.timedelta(minutes=1),
                    callback=SyncCallback("callbacks.on_miss"),
                    dagrun_id=run.id,
                    deadline_alert_id=None,
                )
            )
    with create_session() as session:
        for deadline in session.scalars(select(Deadline).where(~Deadline.missed)):
            deadline.handle_miss(session)


def enqueue(slots: int = 32) -> list[str]:
    """What one turn of a scheduler's loop puts into its executor's queue: the callbacks' ids."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.utils.session import create_session
    from idle_executor import IdleExecutor

    executor = IdleExecutor(parallelism=slots)
    executor.supports_callbacks = True
    # Nobody works off its queue.
    executor.heartbeat = lambda: None
    with create_session() as session:
        job = Job(job_type=SchedulerJobRunner.job_type)
        session.add(job)
        session.flush()
        session.expunge(job)
    executor.job_id = job.id
    job.__dict__.update(executor=executor, executors=[executor])
    runner = SchedulerJobRunner(job=job, num_runs=1, scheduler_idle_sleep_time=0)
    runner.executor, runner.executors = executor, [executor]
    runner._parallelism = slots
    runner._run_scheduler_loop()
    return [str(workload.callback.id) for workload in executor.queued_callbacks.values()]


def both_select() -> list[str]:
    """The first one has selected the callbacks; the second one selects, queues and commits; the first one goes on."""
    first = Party("first", enqueue).stop("after", SELECTS_CALLBACKS).run_to_stop()
    second = Party("second", enqueue).start().result()
    return [*first.resume().result(), *second]


@pytest.mark.usefixtures("database")
def test_a_waiting_callback_is_queued_once(mounted: Any, release: str) -> None:
    fit = FIXES[FIX].fits(release)
    with mounted(FIX) as status:
        assert status[FIX] == ("loaded" if fit is Fit.APPLIES else "not_needed")
    if release.startswith("3.1."):
        pytest.skip("all callbacks of 3.1 run in triggerers: a scheduler has none to queue")
    waiting_callbacks("stock", 1)
    # In 3.2 one that waits has no data to be queued with: it is passed over for ever.
    assert len(both_select()) == (2 if fit is Fit.APPLIES else 0)
    waiting_callbacks("fixed", 1)
    with mounted(FIX):
        assert len(both_select()) == (1 if fit is Fit.APPLIES else 0)


@pytest.mark.usefixtures("database")
def test_callbacks_that_another_one_holds_take_no_slot(mounted: Any, release: str) -> None:
    if FIXES[FIX].fits(release) is not Fit.APPLIES:
        pytest.skip(f"the fix is not needed in {release}")
    waiting_callbacks("fixed", 2)
    with mounted(FIX):
        first = Party("first", lambda: enqueue(1)).stop("after", SELECTS_CALLBACKS).run_to_stop()
        second = Party("second", lambda: enqueue(1)).start().result()
        queued = [*first.resume().result(), *second]
    assert len(queued) == len(set(queued)) == 2
