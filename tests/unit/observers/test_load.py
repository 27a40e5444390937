"""The load's own record of its actions."""

from __future__ import annotations

import json

from stress import events
from stress.observers.load import Load
from tests.unit.clusters import PaperCluster


def test_what_the_load_did_is_an_event(cluster: PaperCluster) -> None:
    cluster.leave("load/actions.jsonl", json.dumps({"t": 1.5, "action": "dag_changed", "count": 1}))
    cluster.leave("load/other", "not an action")
    assert list(Load(cluster).poll()) == [events.LoadActed(at=1.5, action="dag_changed", count=1)]
