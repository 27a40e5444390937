"""The load's own record of its actions."""

from __future__ import annotations

import json

import msgspec

from stress import events
from stress.observers.load import Load
from tests.unit.clusters import PaperCluster
from tests.unit.histories import request


def test_what_the_load_did_is_an_event(cluster: PaperCluster) -> None:
    cluster.leave("load/actions.jsonl", json.dumps({"t": 1.5, "action": "dag_changed", "count": 1}))
    cluster.leave("load/other", "not an action")
    assert list(Load(cluster).poll()) == [events.LoadActed(at=1.5, action="dag_changed", count=1)]


def test_the_answers_to_the_load_s_requests_are_events(cluster: PaperCluster) -> None:
    answered = request(5.0, "mark_task", "d", "t", state="failed", code=200)
    cluster.leave("load/requests.jsonl", msgspec.json.encode(answered).decode())
    assert list(Load(cluster).poll()) == [answered]
