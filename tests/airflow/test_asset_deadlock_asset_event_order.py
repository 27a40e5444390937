"""Reports of success with outlets: in which order they write, and that it is all that stock writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from dag_data import NOW, running_run, task_instance_ids, write_dag
from parties import Party
from state_updates import stored_state, update_state

FIX = "asset_event_order"
ASSETS = ("v", "w", "x", "y", "z")
CONSUMERS = ("consumer_1", "consumer_2")
WAIT_AFTER_EACH_ROW = (
    """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_lock_shared(1);
        PERFORM pg_advisory_unlock_shared(1);
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER wait AFTER INSERT ON asset_dag_run_queue FOR EACH ROW EXECUTE FUNCTION wait()",
)
"""Whoever inserts a row waits as long as somebody holds a lock for it; that makes many statements of one."""

_process = threading.local()
"""What is different in each process that a party stands for."""


@pytest.fixture(autouse=True)
def stock_manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fix replaces functions in a second module, too: put them back."""
    from airflow.assets.manager import AssetManager

    with monkeypatch.context() as patch:
        for name, value in list(vars(AssetManager).items()):
            if isinstance(value, classmethod):
                patch.setattr(AssetManager, name, value)
        yield


def uri(name: str) -> str:
    return f"test://{name}/"


def outlet(kind: str, name: str | None = None, uri: str | None = None) -> dict[str, str | None]:
    return {"type": kind, "name": name, "uri": uri}


def event(name: str, number: int, alias: str | None = None) -> dict[str, Any]:
    """What a task says of an outlet; by an alias if there is one."""
    found: dict[str, Any] = {"dest_asset_key": {"name": name, "uri": uri(name)}, "extra": {"number": number}}
    return {**found, "source_alias_name": alias, "dest_asset_extra": {}} if alias else found


def success(outlets: list[Any], events: list[Any]) -> Any:
    """A worker's report of success."""
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import TISuccessStatePayload

    return TISuccessStatePayload(state="success", end_date=NOW, task_outlets=outlets, outlet_events=events)


def write_consumers() -> None:
    """Two aliases, all assets but `v`, and two DAGs that wait for each of them."""
    from airflow.models.asset import AssetActive, AssetAliasModel, AssetModel, DagScheduleAssetReference
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    for dag_id in CONSUMERS:
        write_dag(dag_id, tasks=1)
    with create_session() as session:
        session.add_all(AssetAliasModel(name=name) for name in ("a", "b"))
        for dag_id in CONSUMERS:
            session.get(DagModel, dag_id).is_paused = False
        for name in ASSETS[1:]:
            asset = AssetModel(name=name, uri=uri(name))
            session.add(asset)
            session.flush()
            session.add(AssetActive(name=name, uri=uri(name)))
            session.add_all(DagScheduleAssetReference(asset_id=asset.id, dag_id=dag_id) for dag_id in CONSUMERS)


def written(database: Any, dag_id: str) -> list[tuple[Any, ...]]:
    """The events of a DAG's task, in the order in which they were written."""
    query = """
        SELECT asset.name, asset.uri, event.extra ->> 'number', array_agg(alias.name ORDER BY alias.name)
        FROM asset_event event JOIN asset ON asset.id = event.asset_id
        LEFT JOIN asset_alias_asset_event by_alias ON by_alias.event_id = event.id
        LEFT JOIN asset_alias alias ON alias.id = by_alias.alias_id
        WHERE event.source_dag_id = %s GROUP BY event.id, asset.id ORDER BY event.id
    """
    return [(*row[:3], tuple(row[3])) for row in database.query(query, dag_id)]


def queued(database: Any) -> list[tuple[Any, ...]]:
    query = "SELECT asset.name, target_dag_id FROM asset_dag_run_queue JOIN asset ON asset.id = asset_id ORDER BY 1, 2"
    return list(database.query(query))


def test_one_order_whatever_names_the_asset(database: Any, mounted: Any) -> None:
    write_consumers()
    outlets = [
        outlet("Asset", "z", uri("z")),
        outlet("Asset", "z", uri("z")),
        outlet("Asset", "gone", uri("gone")),
        outlet("AssetNameRef", "y"),
        outlet("AssetNameRef", "gone"),
        outlet("AssetUriRef", uri=uri("x")),
        outlet("AssetAlias", "b"),
        outlet("AssetAlias", "a"),
    ]
    events = [event("z", 1), event("y", 2), event("w", 3, "b"), event("w", 3, "a"), event("v", 4, "a")]

    def do(dag_id: str) -> list[tuple[Any, ...]]:
        instance = task_instance_ids(running_run(dag_id))[0]
        update_state(instance, success(outlets, events))
        assert stored_state(database, instance) == "success"
        return written(database, dag_id)

    stock = do("stock")
    assert [row[0] for row in stock] == ["z", "y", "x", "w", "v"]
    waiting = queued(database)
    assert waiting == [(name, dag) for name in ASSETS[1:] for dag in CONSUMERS]

    database.query("DELETE FROM asset_dag_run_queue RETURNING 1")
    database.query("DELETE FROM asset WHERE name = 'v' RETURNING 1")
    with mounted(FIX) as status:
        assert status == {FIX: "loaded"}
        fixed = do("fixed")
    assert [row[0] for row in fixed] == list(ASSETS)
    assert sorted(fixed) == sorted(stock)
    assert queued(database) == waiting


def order_of_dags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each party's sets of DAGs an order, as addresses do in each process."""
    from airflow.models.dag import DagModel

    def hash_of(dag: Any) -> int:
        return (getattr(_process, "order", ()).index(dag.dag_id) + 1) if hasattr(_process, "order") else id(dag)

    monkeypatch.setattr(DagModel, "__hash__", hash_of, raising=False)


def test_two_reports_of_one_asset_for_two_dags(
    database: Any, mounted: Any, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each inserts the first row of its own order before one of them inserts a second.

    Since 3.4 no two reports insert the same row.
    """
    write_consumers()
    order_of_dags(monkeypatch)
    for statement in WAIT_AFTER_EACH_ROW:
        database.query(statement)

    assert race(database, "stock") == (2 if release.startswith("3.4.") else 1)
    database.query("DELETE FROM asset_dag_run_queue RETURNING 1")
    with mounted(FIX):
        assert race(database, "fixed") == 2


def race(database: Any, name: str) -> int:
    """How many of two reports are stored as what they say."""
    payload = success([outlet("Asset", "x", uri("x"))], [])
    instances = [task_instance_ids(running_run(f"{name}_{number}"))[0] for number in (1, 2)]
    orders = (CONSUMERS, CONSUMERS[::-1])

    def work(instance: Any, order: tuple[str, ...]) -> None:
        _process.order = order
        update_state(instance, payload)

    holder = psycopg2.connect(database.url().replace("+psycopg2", ""))
    holder.cursor().execute("SELECT pg_advisory_xact_lock(1)")
    reports = [
        Party(f"report {number}", lambda i=instance, o=order: work(i, o)).start().wait_blocked(database)
        for number, (instance, order) in enumerate(zip(instances, orders, strict=True))
    ]
    assert not any(report.ended for report in reports)
    holder.rollback()
    holder.close()
    for report in reports:
        report.wait()
    return [stored_state(database, instance) for instance in instances].count("success")


def write_partitioned_consumer() -> None:
    """A DAG that waits for the partitions of two assets, which writing it makes."""
    from airflow.models.asset import AssetActive
    from airflow.models.dag import DagModel
    from airflow.sdk import Asset, PartitionedAssetTimetable
    from airflow.utils.session import create_session

    assets = [Asset(name=name, uri=uri(name)) for name in ("x", "y")]
    write_dag("consumer", tasks=1, schedule=PartitionedAssetTimetable(assets=assets[0] & assets[1]))
    with create_session() as session:
        session.get(DagModel, "consumer").is_paused = False
        for name in ("x", "y"):
            if session.get(AssetActive, (name, uri(name))) is None:
                session.add(AssetActive(name=name, uri=uri(name)))


def test_two_reports_of_two_partitioned_outlets(
    database: Any, mounted: Any, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each locks the row of an asset until its commit, so that all must take these in the same order."""
    if release.startswith("3.1."):
        pytest.skip("3.1 has no partitions")
    from airflow.serialization.definitions.assets import SerializedAssetUniqueKey

    def hash_of(key: Any) -> int:
        order: str = getattr(_process, "order", "xy")
        return order.index(key.name) + 1

    monkeypatch.setattr(SerializedAssetUniqueKey, "__hash__", hash_of)
    write_partitioned_consumer()
    payload = success([outlet("Asset", name, uri(name)) for name in ("x", "y")], [])

    def stored(name: str) -> list[str]:
        instances = [task_instance_ids(running_run(f"{name}_{number}"))[0] for number in (1, 2)]
        database.query("UPDATE dag_run SET partition_key = 'of ' || dag_id RETURNING 1")

        def work(instance: Any, order: str) -> None:
            _process.order = order
            update_state(instance, payload)

        locks = r"FROM asset\s+WHERE asset.id = .* FOR (NO KEY )?UPDATE"
        first = Party("first", lambda: work(instances[0], "xy")).stop("after", locks).run_to_stop()
        second = Party("second", lambda: work(instances[1], "yx")).start().wait_blocked(database)
        first.resume().wait()
        second.wait()
        return [stored_state(database, instance) for instance in instances]

    assert sorted(stored("stock")) != ["success", "success"]
    with mounted(FIX) as status:
        assert status == {FIX: "loaded"}
        assert stored("fixed") == ["success", "success"]
