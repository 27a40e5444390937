"""Fix ``clear_runs_order``: a request that clears several runs takes them in one order (3.3.0 to 3.4.0b2).

The defect
    ``POST dags/{dag_id}/clearDagRuns`` clears one run after the other, in the order of the request, and holds each run
    and its task instances until it commits. Two requests with the same two runs in opposite orders deadlock; the
    victim is answered 500.

The invariant
    Transactions that lock several runs lock them in the order of (dag_id, run_id). ``lock_dag_runs`` of 3.4 keeps this
    order within a call, and its docstring promises it to all its callers; here each run has a separate call.

Why the obvious repair is wrong
    A commit after each run stores half of a request whose later run does not exist: it is answered 404 now, and changes
    nothing. A repetition of the victim clears the runs twice.

How
    The request's body sorts its runs when it is validated, so the loop of the route takes them in this order. The
    answer lists the runs in this order, too. A run without a DAG is one of the DAG in the request's path.

What it leaves: a request that selects runs by partitions takes them in the order of (partition_date, run_id), one order
for all such requests, but another than this. PostgreSQL sorts by the database's collation where it locks several runs
with one statement; with another collation than ``C`` two runs whose keys differ in case can have the opposite order
there.

Its tests: ``stress repro archived_attempt_runs`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_archived_attempt_clear_runs_order.py``.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.api_fastapi.core_api.datamodels.dag_run"
_ROUTES = "airflow.api_fastapi.core_api.routes.public.dag_run"


def in_order(dag_runs: list[Any]) -> list[Any]:
    """The runs of a request by (dag_id, run_id)."""
    # Only a request whose path names the DAG may leave it out, and all runs of such a request belong to it.
    of_one_dag = any(run.dag_id is None for run in dag_runs)
    return sorted(dag_runs, key=lambda run: ("" if of_one_dag else run.dag_id, run.dag_run_id))


def sorting(stock: Any) -> type[Any]:
    """Make a subclass of the request's body that sorts its runs."""

    class BulkDAGRunClearBody(stock):  # type: ignore[misc]
        """Request body for the bulk clear Dag Runs endpoint."""

        def model_post_init(self, context: Any) -> None:
            """Put the runs in the order in which their rows are locked."""
            super().model_post_init(context)
            self.dag_runs[:] = in_order(self.dag_runs)

    return BulkDAGRunClearBody


def apply(module: ModuleType) -> None:
    """Replace the body of the request, which the routes import from its module."""
    module.BulkDAGRunClearBody = sorting(module.BulkDAGRunClearBody)  # type: ignore[attr-defined]


FIX = Fix(
    place=27,
    summary="a request that clears several runs locks them in the order of their keys",
    components=("api-server",),
    targets=(
        Target(_MODULE, "BulkDAGRunClearBody"),
        Target(_ROUTES, "clear_dag_runs"),
    ),
    releases={**spread("3.1.0..3.2.2", Fit.NOT_NEEDED), **spread("3.3.0..3.4.0b2", Fit.APPLIES)},
    apply=apply,
)
