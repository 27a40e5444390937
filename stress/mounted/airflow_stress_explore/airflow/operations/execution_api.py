"""What workers ask of the api-server: the route functions, from the first statement to the commit.

`api_server.ask_as_worker` does the web framework's part.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from airflow_stress_explore.airflow.fixtures import NOW, WORKER, ingredient, running_run
from airflow_stress_explore.airflow.operation import Fixture, Response, UnknownInternals, find, operation
from airflow_stress_explore.airflow.operations.api_server import ask_as_worker

ROUTES = "airflow.api_fastapi.execution_api.routes.task_instances"
MODELS = "airflow.api_fastapi.execution_api.datamodels.taskinstance"


def dag_bag() -> Any:
    """As each api-server has one."""
    return find("airflow.models.dagbag", "DBDagBag")()


@operation("state_update", "a worker reports that its task has succeeded", [("running", "success")])
def stateupdate(fixture: Fixture, number: int) -> Callable[[], Response]:
    return _success(fixture.instances[number % len(fixture.instances)])


def _success(instance: Any, outlets: tuple[str, ...] = ()) -> Callable[[], Response]:
    assets = [{"name": name, "uri": f"test://{name}/", "type": "Asset"} for name in outlets]
    make_payload = find(MODELS, "TISuccessStatePayload")
    payload = make_payload(state="success", end_date=NOW, task_outlets=assets, outlet_events=[])
    return update(instance, payload, ((str(instance), "success"),))


def update(instance: Any, payload: Any, claims: tuple[tuple[str, str], ...]) -> Callable[[], Response]:
    """A worker's report of its task's state."""
    route = find(ROUTES, "ti_update_state")
    return ask_as_worker(route, instance, claims, ti_patch_payload=payload, dag_bag=dag_bag())


@operation("heartbeat", "a worker says that its task still runs")
def heartbeat(fixture: Fixture, number: int) -> Callable[[], Response]:
    route = find(ROUTES, "ti_heartbeat")
    hostname, pid = WORKER
    payload = find(MODELS, "TIHeartbeatInfo")(hostname=hostname, pid=pid)
    return ask_as_worker(route, fixture.instances[0], ti_payload=payload)


@operation("enter_running", "a worker starts a task that is queued", [("queued", "running")])
def enter_running(fixture: Fixture, number: int) -> Callable[[], Response]:
    route = find(ROUTES, "ti_run")
    hostname, pid = WORKER
    make_payload = find(MODELS, "TIEnterRunningPayload")
    # Another worker each: two that start one task are never the same one that asks twice.
    payload = make_payload(state="running", hostname=hostname, unixname="worker", pid=pid + number, start_date=NOW)
    instance = fixture.instances[0]
    return ask_as_worker(
        route,
        instance,
        ((str(instance), "running"),),
        code=200,
        ti_run_payload=payload,
        dag_bag=dag_bag(),
        # The middleware's part: who asks, and what it could answer with. A worker's own token needs none of it.
        token=SimpleNamespace(claims=SimpleNamespace(scope="execution"), id=instance),
        response=SimpleNamespace(headers={}),
        services=None,
    )


@operation("deferral", "a worker defers its task to a trigger", [("running", "deferred")])
def deferral(fixture: Fixture, number: int) -> Callable[[], Response]:
    classpath = "airflow_stress_explore.airflow.callbacks.Trigger"
    # As the worker sends it: what it does to the trigger's arguments differs between releases.
    sent = find("airflow.sdk.execution_time.comms", "DeferTask")(
        classpath=classpath, trigger_kwargs={}, next_method="execute_complete", next_kwargs={}
    ).model_dump(mode="json")
    payload = find(MODELS, "TIDeferredStatePayload")(
        state="deferred",
        classpath=classpath,
        trigger_kwargs=sent["trigger_kwargs"],
        next_method="execute_complete",
        next_kwargs=sent["next_kwargs"],
    )
    return update(fixture.instances[0], payload, ())


@operation("failure", "a worker reports that its task has failed", [("running", "failed"), ("*", "skipped")])
def failure(fixture: Fixture, number: int) -> Callable[[], Response]:
    payload = find(MODELS, "TITerminalStatePayload")(state="failed", end_date=NOW)
    instance = fixture.instances[number % len(fixture.instances)]
    return update(instance, payload, ((str(instance), "failed"),))


@operation("asset_update", "a worker reports success of a task with two outlets, x and y", [("running", "success")])
def assetupdate(fixture: Fixture, number: int) -> Callable[[], Response]:
    """Each actor is a separate api-server process, and so has its own order of a set of assets."""
    update = _success(fixture.instances[number % len(fixture.instances)], ("x", "y"))
    seed = _seed_for(first="x" if number % 2 == 0 else "y")

    def work() -> Response:
        _process.hash_seed = seed
        return update()

    return work


@ingredient
def two_runs(fixture: Fixture) -> None:
    """Runs of two DAGs; of each a task instance that runs on a worker is reported on."""
    running_run(fixture)
    other = Fixture(fixture.release, dag_id="raced_too")
    running_run(other)
    fixture.instances = [fixture.instances[0], other.instances[0]]


_process = threading.local()
"""What is different in each process that an actor stands for."""


def _seed_for(first: str) -> int:
    """A seed with which a set of the assets x and y begins with this one.

    Python hashes strings with a seed that is another in each process (PYTHONHASHSEED), and a set's order follows: one
    api-server process goes through the same outlets in another order than the next. Actors are threads of one process,
    so the assets' keys get a hash with a seed of their actor.
    """
    key = _key_class()
    for seed in range(1000):
        _process.hash_seed = seed
        if next(iter({key(name, f"test://{name}/") for name in ("x", "y")})).name == first:
            return seed
    raise UnknownInternals(f"no seed puts {first} first in a set of {key.__qualname__}")


@functools.cache
def _key_class() -> Any:
    for module in ("airflow.serialization.definitions.assets", "airflow.sdk.definitions.asset"):
        for name in ("SerializedAssetUniqueKey", "AssetUniqueKey"):
            with contextlib.suppress(UnknownInternals):
                key = find(module, name)
                key.__hash__ = lambda self: hash((getattr(_process, "hash_seed", 0), self.name, self.uri))
                return key
    raise UnknownInternals("there is no AssetUniqueKey")


@operation("same_asset_update", "a worker reports success of a task with one outlet, x", [("running", "success")])
def same_assetupdate(fixture: Fixture, number: int) -> Callable[[], Response]:
    return _success(fixture.instances[number % len(fixture.instances)], ("x",))


@operation(
    "one_asset_update",
    "a worker reports success of a task with one outlet, x, that two DAGs wait for",
    [("running", "success")],
)
def one_assetupdate(fixture: Fixture, number: int) -> Callable[[], Response]:
    """As `asset_update`: each process has its own order of a set of DAGs, which are hashed by their addresses."""
    update = _success(fixture.instances[number % len(fixture.instances)], ("x",))
    _hash_dags_by_process()
    consumers = ("consumer_1", "consumer_2")
    order = consumers if number % 2 == 0 else consumers[::-1]

    def work() -> Response:
        _process.dag_order = order
        return update()

    return work


@functools.cache
def _hash_dags_by_process() -> None:
    model = find("airflow.models.dag", "DagModel")

    def hash_of(dag: Any) -> int:
        order: tuple[str, ...] = getattr(_process, "dag_order", ())
        dag_id = vars(dag).get("dag_id")
        return order.index(dag_id) + 1 if dag_id in order else object.__hash__(dag)

    model.__hash__ = hash_of
