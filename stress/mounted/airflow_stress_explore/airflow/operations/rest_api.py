"""What people do to runs and task instances: the REST API's route functions, from first statement to commit.

`api_server.request` does the web framework's part, as for the routes that workers ask. What comes before a route's
function is left out, because it shares no row with others: the entry in the audit log (nothing points to it; it is
committed before the function is called, in 3.1 with its changes), and the access check (it only reads).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation, supply
from airflow_stress_explore.airflow.operations.api_server import call, request

ROUTES = "airflow.api_fastapi.core_api.routes.public"
DATAMODELS = "airflow.api_fastapi.core_api.datamodels"
TASK = "task_0"

_USER = SimpleNamespace(get_id=lambda: "a user", get_name=lambda: "a user")
"""Who asks; the routes look only for a note's author."""


def ask(
    route: Callable[..., Any], fixture: Fixture, dag_id: str | None = None, **arguments: Any
) -> Callable[[], Response]:
    """Call a route's function. It reads the DAG anew each time, so that a separate bag costs it no statement."""
    bag = find("airflow.api_fastapi.common.dagbag", "create_dag_bag")()
    wants_resolver = "resolver" in inspect.signature(route).parameters
    make_resolver = find("airflow.models.task_coordinates", "TaskCoordinateResolver") if wants_resolver else None

    def work(session: Any) -> Any:
        if make_resolver is not None:
            # From 3.4 on the framework makes it for each request, with the request's session.
            arguments["resolver"] = make_resolver(bag, session)
        return call(route, session, dag_id=dag_id or fixture.dag_id, dag_bag=bag, user=_USER, **arguments)

    return lambda: request(work, code=200)


@operation("clearing", "a user clears the first task", [("running", "restarting"), ("*", "none")])
def clearing(fixture: Fixture, number: int) -> Callable[[], Response]:
    """As the page of a task instance does it: this task alone, in any state, and its run goes on."""
    make_body = find(f"{DATAMODELS}.task_instances", "ClearTaskInstancesBody")
    body = supply(make_body, dry_run=False, only_failed=False, dag_run_id=fixture.run_id, task_ids=[TASK])
    return ask(find(f"{ROUTES}.task_instances", "post_clear_task_instances"), fixture, body=body)


@operation("run_clearing", "a user clears a run", [("running", "restarting"), ("*", "none")])
def run_clearing(fixture: Fixture, number: int) -> Callable[[], Response]:
    find("airflow.models.dagrun", "lock_dag_runs")
    body = supply(find(f"{DATAMODELS}.dag_run", "DAGRunClearBody"), dry_run=False, only_failed=False)
    return ask(find(f"{ROUTES}.dag_run", "clear_dag_run"), fixture, dag_run_id=fixture.run_id, body=body)


@operation("runs_clearing", "a user clears the runs of two DAGs", [("running", "restarting"), ("*", "none")])
def runs_clearing(fixture: Fixture, number: int) -> Callable[[], Response]:
    """Each user has selected the runs in another order."""
    runs = [{"dag_id": dag_id, "dag_run_id": fixture.run_id} for dag_id in (fixture.dag_id, "raced_too")]
    make_body = find(f"{DATAMODELS}.dag_run", "BulkDAGRunClearBody")
    body = make_body(dry_run=False, only_failed=False, dag_runs=runs if number % 2 == 0 else runs[::-1])
    return ask(find(f"{ROUTES}.dag_run", "clear_dag_runs"), fixture, dag_id="~", body=body)


@operation("marking", "a user marks the first task failed", [("*", "failed"), ("*", "skipped")])
def marking(fixture: Fixture, number: int) -> Callable[[], Response]:
    body = supply(find(f"{DATAMODELS}.task_instances", "PatchTaskInstanceBody"), new_state="failed")
    route = find(f"{ROUTES}.task_instances", "patch_task_instance")
    # Without a server a default that is the framework's is an object of the framework's.
    arguments: dict[str, Any] = {"map_index": None, "update_mask": None}
    return ask(route, fixture, dag_run_id=fixture.run_id, task_id=TASK, body=body, **arguments)


@operation("run_marking", "a user marks the run failed", [("*", "failed"), ("*", "skipped")])
def run_marking(fixture: Fixture, number: int) -> Callable[[], Response]:
    body = supply(find(f"{DATAMODELS}.dag_run", "DAGRunPatchBody"), state="failed")
    route = find(f"{ROUTES}.dag_run", "patch_dag_run")
    return ask(route, fixture, dag_run_id=fixture.run_id, patch_body=body, update_mask=None)
