"""Fix ``asset_event_order``: reports of success write the rows of assets in one order, in every process.

The defect
    A success with outlets writes, in its transaction, a row of ``asset_dag_run_queue`` for each asset and each
    DAG that waits for it. Two transactions that insert the same row wait for each other (``ON CONFLICT DO
    NOTHING`` does, until the first one has ended), so the order of the rows decides whether they only wait or
    deadlock. There is none: the outlets go through a *set* of assets, whose order follows from the hashes of
    strings, which are other ones in each process; the DAGs through a set of objects, in the order of their
    addresses; and references by name, by URI and events of aliases come after all assets, so that tasks which
    name the same assets in another way differ, too.

The invariant
    A report writes what belongs to one asset before what belongs to the next, in the order of (name, URI), and for
    each asset the DAGs by id. It waits only for what is later in this order than all that it holds, and so no
    number of reports can wait for each other in a circle.

Why the obvious repair is wrong
    Sorting the set of assets is not enough: an asset that one task names, another one refers to by name or by
    URI, or reaches by an alias, and each kind has its own loop. Neither is sorting the assets without the
    DAGs: two tasks with *one* outlet deadlock if two DAGs wait for it. Locking the assets' rows first would do
    for reports, but makes them wait for the DAG processor, which updates those rows in another order.

On 3.4
    A row of the queue has the report's own event in its key (#70972), so that two reports insert no row in common:
    the deadlock of assets without partitions is gone. A partitioned DAG still locks the row of each asset until the
    commit, in the order of the set, so that two reports with the same two outlets deadlock on ``asset``.

How
    ``TaskInstance.register_asset_changes_in_db`` is called once for each asset, in order, with the outlet or the
    aliases' events that concern it: a set of one has no order. References are looked up first, to know which
    asset they mean. The functions of ``AssetManager`` that insert are given sorted lists for their sets. It costs
    one SELECT for each outlet beyond the first; a task with one outlet pays nothing.

What it leaves
    Rows that an alias's event is the first to need (the asset, the alias, that they belong together) are written in
    SQLAlchemy's order, and two reports that write the same one still collide on its unique key. An asset manager
    of one's own that overrides the inserting functions. Partitioned DAGs lock the asset's row first, and are in this
    order by it. A trigger that watches several assets goes through them in its own order.

Its tests: ``stress repro asset_deadlock`` (``tests/explore/test_reproducers.py``) and
``tests/airflow/test_asset_deadlock_asset_event_order.py``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, NamedTuple

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.models.taskinstance"
_MANAGER = "airflow.assets.manager"
_INSERTS = (
    "_postgres_queue_dagruns",  # 3.1
    "_slow_path_queue_dagruns",
    "_queue_dagruns_nonpartitioned_postgres",  # since 3.2
    "_queue_dagruns_nonpartitioned_slow_path",
)
_INSERT_BY_EVENT = "_queue_dagruns_nonpartitioned"
"""Since 3.4: its rows have the report's own event in their key, so that no other report inserts the same one."""


class Part(NamedTuple):
    """What of a report concerns one asset."""

    asset: tuple[str, str]
    """Name and URI; empty for a reference to no active asset, for which nothing is written."""

    outlets: list[Any]
    events: list[dict[str, Any]]


def parts(outlets: list[Any], events: list[dict[str, Any]], session: Any) -> list[Part]:
    """A report by asset, in the order of their names and URIs. Equal outlets count once, as they always did."""
    plain = [event for event in events if "source_alias_name" not in event]
    aliases = [outlet for outlet in outlets if outlet.type == "AssetAlias"]
    others = {(o.type, o.name, o.uri): o for o in outlets if o.type != "AssetAlias"}.values()
    by_asset: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in events if aliases else ():
        if "source_alias_name" in event:
            key = event["dest_asset_key"]
            by_asset.setdefault((key["name"], key["uri"]), []).append(event)
    means = _references(others, session)
    found = [Part(means.get((o.type, o.name, o.uri), (o.name or "", o.uri or "")), [o], plain) for o in others]
    found += [Part(asset, aliases, of_asset) for asset, of_asset in by_asset.items()]
    return sorted(found, key=lambda part: part.asset)


def _references(outlets: Any, session: Any) -> dict[tuple[str, str | None, str | None], tuple[str, str]]:
    """The active asset that each reference by name or by URI means; there is one at most."""
    from airflow.models.asset import AssetModel
    from sqlalchemy import or_, select

    names = {o.name for o in outlets if o.type == "AssetNameRef"}
    uris = {o.uri for o in outlets if o.type == "AssetUriRef"}
    if not names and not uris:
        return {}
    wanted = or_(AssetModel.name.in_(names), AssetModel.uri.in_(uris))
    assets = [
        tuple(row)
        for row in session.execute(select(AssetModel.name, AssetModel.uri).where(AssetModel.active.has(), wanted))
    ]
    by_name, by_uri = {asset[0]: asset for asset in assets}, {asset[1]: asset for asset in assets}
    return {
        (o.type, o.name, o.uri): (by_name.get(o.name) if o.type == "AssetNameRef" else by_uri.get(o.uri)) or ("", "")
        for o in outlets
        if o.type in ("AssetNameRef", "AssetUriRef")
    }


def apply(module: ModuleType) -> None:
    """Wrap the function that registers a report's assets, and those that insert for one asset."""
    from airflow.assets.manager import AssetManager

    manager: Any = AssetManager
    instance: Any = module.TaskInstance
    stock = instance.register_asset_changes_in_db
    inserts = {name: vars(manager)[name].__func__ for name in _INSERTS if name in vars(manager)}
    if len(inserts) != 2 and _INSERT_BY_EVENT not in vars(manager):
        raise TypeError(f"AssetManager has {', '.join(inserts) or 'none'} of {', '.join(_INSERTS)}: two are expected")

    @functools.wraps(stock)
    def register(ti: Any, task_outlets: list[Any], outlet_events: list[dict[str, Any]], session: Any) -> Any:
        found = parts(task_outlets, outlet_events, session)
        if len(found) < 2:
            return stock(ti, task_outlets, outlet_events, session=session)
        callbacks: list[Any] = []
        for part in found:
            callbacks += stock(ti, part.outlets, part.events, session=session) or ()
        return callbacks

    def in_order_of_ids(insert: Any) -> Any:
        @functools.wraps(insert)
        def queue(cls: Any, asset_id: int, dags_to_queue: Any, session: Any) -> Any:
            return insert(cls, asset_id, sorted(dags_to_queue, key=lambda dag: dag.dag_id), session)

        return classmethod(queue)

    instance.register_asset_changes_in_db = staticmethod(register)
    for name, insert in inserts.items():
        setattr(manager, name, in_order_of_ids(insert))


FIX = Fix(
    place=6,
    summary="reports of success write what belongs to assets in the order of assets and DAGs, in every process",
    components=("api-server",),
    targets=(
        Target(_MODULE, "TaskInstance.register_asset_changes_in_db"),
        Target(_MANAGER, "AssetManager"),
        Target(
            "airflow.api_fastapi.execution_api.routes.task_instances",
            "_create_ti_state_update_query_and_update_state",
        ),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
