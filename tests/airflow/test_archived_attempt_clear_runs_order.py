"""Two requests that clear the same two runs, each in another order."""

from __future__ import annotations

from typing import Any

import pytest
from dag_data import running_run
from parties import Party

from airflow_stress_explore.airflow.operation import find
from airflow_stress_explore.airflow.operations.api_server import request
from airflow_stress_explore.airflow.operations.rest_api import DATAMODELS, ROUTES
from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "clear_runs_order"


@pytest.fixture(autouse=True)
def _has_the_route(release: str) -> None:
    if FIXES[FIX].fits(release) is not Fit.APPLIES:
        pytest.skip("this release has no route that clears several runs")


def body(*runs: tuple[str | None, str]) -> Any:
    """The request's body, as the web framework validates it."""
    entries = [{"dag_id": dag_id, "dag_run_id": run_id} for dag_id, run_id in runs]
    return find(f"{DATAMODELS}.dag_run", "BulkDAGRunClearBody")(dry_run=False, only_failed=False, dag_runs=entries)


def clear(*runs: tuple[str, str]) -> str:
    """Clear runs with one request. The answer."""
    from airflow.api_fastapi.common.dagbag import create_dag_bag

    route, asked = find(f"{ROUTES}.dag_run", "clear_dag_runs"), body(*runs)
    bag = create_dag_bag()
    return str(request(lambda session: route("~", asked, bag, session, None), code=200))


def answers(database: Any, suffix: str) -> list[str]:
    """One request has cleared its first run; the other one clears them in the opposite order; the first goes on."""
    runs = [(run.dag_id, run.run_id) for run in (running_run(f"one_{suffix}"), running_run(f"two_{suffix}"))]
    first = Party("first", lambda: clear(*runs)).stop("after", r"^UPDATE dag_run ").run_to_stop()
    second = Party("second", lambda: clear(*reversed(runs))).start().wait_blocked(database)
    first.resume()
    return sorted([first.result(), second.result()])


def test_requests_in_opposite_orders_do_not_deadlock(database: Any, mounted: Any) -> None:
    """With the fix of two clears of one task, which end with an IntegrityError on 3.3 without it."""
    with mounted("clearing_row_locks"):
        assert answers(database, "stock") == ["200", "500 OperationalError"]
    with mounted("clearing_row_locks", FIX) as status:
        assert status[FIX] == "loaded"
        assert answers(database, "fixed") == ["200", "200"]


def test_runs_are_in_the_order_of_their_keys(mounted: Any) -> None:
    with mounted(FIX):
        several = body(("b", "1"), ("a", "2"), ("a", "1"))
        assert [(run.dag_id, run.dag_run_id) for run in several.dag_runs] == [("a", "1"), ("a", "2"), ("b", "1")]
        # The DAG of the request's path: an entry may name it or not.
        of_one = body(("a", "2"), (None, "1"))
        assert [run.dag_run_id for run in of_one.dag_runs] == ["1", "2"]


def test_the_routes_are_described_as_before(mounted: Any) -> None:
    stock = find(f"{DATAMODELS}.dag_run", "BulkDAGRunClearBody")
    with mounted(FIX):
        fixed = find(f"{DATAMODELS}.dag_run", "BulkDAGRunClearBody")
        assert fixed is not stock
        assert fixed.model_json_schema() == stock.model_json_schema()
