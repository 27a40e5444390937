"""Fix ``backfill_in_one_commit``: a backfill is stored together with its runs (#68721, #64534; 3.1.0 to 3.4.0b2).

The defect
    ``_create_backfill`` commits the backfill's row before it creates the runs, so that a second request for the DAG
    sees it. Every 30 s a scheduler completes the backfills that have no unfinished run, and one that is being created
    has none. Until 3.2 that is so for the whole time of the creation; since 3.3 a backfill without runs is left alone
    until it is two minutes old, so that a creation of more than two minutes is completed early. Its runs still run;
    but the backfill cannot be paused or cancelled any more, and another one of the DAG can be created beside it.

The invariant
    No transaction sees a backfill without the runs that were created with it. Two requests do not create backfills of
    one DAG at the same time.

Why the obvious repair is wrong
    A longer time limit, or one that looks at the rows' age, is a guess about the time of a creation, and leaves a
    backfill whose creation has failed in progress for as long. A lock on the backfill's row cannot be taken in the
    transaction whose commit makes it visible: there is a moment between that commit and the lock.

How
    The first commit of ``_create_backfill`` becomes a flush. What that commit was for is done by an advisory lock of
    the transaction, taken before the running backfills are counted: a request that does not get it is answered as one
    that finds a backfill. The lock has two numbers; Airflow's own advisory locks have one, which is another space of
    keys. Nothing waits for it. A creation that ends with an error leaves nothing that would have to be removed.

What it leaves: other databases than PostgreSQL, where it does nothing. Two DAGs with the same hash exclude each
other's creation of a backfill while it lasts. Rows that a release before has left (a backfill without runs) are
completed as on stock.

Its tests: ``stress repro early_completion`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_early_completion_backfill_in_one_commit.py``.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.models.backfill"

creation = threading.local()
"""``dag_id``: of the backfill that this thread creates."""


def apply(module: ModuleType) -> None:
    """Wrap ``_create_backfill``, and the session that it opens."""
    stock = module._create_backfill
    stock_session = module.create_session
    already_running: Any = module.AlreadyRunningBackfill

    @functools.wraps(stock)
    def create_backfill(*args: Any, **kwargs: Any) -> Any:
        creation.dag_id = kwargs["dag_id"]
        try:
            return stock(*args, **kwargs)
        finally:
            creation.dag_id = None

    @contextlib.contextmanager
    def one_transaction(*args: Any, **kwargs: Any) -> Iterator[Any]:
        from sqlalchemy import func, select

        dag_id, creation.dag_id = getattr(creation, "dag_id", None), None
        with stock_session(*args, **kwargs) as session:
            if dag_id is None or session.get_bind().dialect.name != "postgresql":
                yield session
                return
            # The first report's number, so that the pair is used by nothing else.
            if not session.scalar(select(func.pg_try_advisory_xact_lock(68721, func.hashtext(dag_id)))):
                raise already_running(f"Another backfill is being created for Dag {dag_id}.")
            session.commit = session.flush
            try:
                yield session
            finally:
                del session.commit

    if hasattr(module, "_cleanup_partial_backfill"):  # since 3.3.1
        stock_cleanup = module._cleanup_partial_backfill

        @functools.wraps(stock_cleanup)
        def cleanup_partial_backfill(backfill: Any, session: Any) -> None:
            if session.get_bind().dialect.name != "postgresql":
                stock_cleanup(backfill, session)
                return
            # It would look for the runs of a backfill that the rollback takes away, by an id that nothing has any more.
            session.rollback()

        module._cleanup_partial_backfill = cleanup_partial_backfill  # type: ignore[attr-defined]
    module._create_backfill = create_backfill  # type: ignore[attr-defined]
    module.create_session = one_transaction  # type: ignore[attr-defined]


FIX = Fix(
    thread=68721,
    place=24,
    summary="a backfill and its runs are stored in one transaction",
    components=("api-server",),
    targets=(
        Target(_MODULE, "_create_backfill"),
        Target(_MODULE, "_cleanup_partial_backfill"),
        Target("airflow.jobs.scheduler_job_runner", "SchedulerJobRunner._mark_backfills_complete"),
        Target("airflow.utils.session", "create_session"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
