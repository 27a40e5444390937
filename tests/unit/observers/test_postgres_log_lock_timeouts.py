"""Statements that the server ended for a lock, from its log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stress import events
from stress.observers.postgres_log import PostgresLog
from tests.unit.observers.played_server import REFRESH, STATE_UPDATE, Server


def ended(code: str, component: str = "api-server", second: int = 1, **fields: Any) -> dict[str, Any]:
    """The record of a statement that the server ended."""
    known = {
        "timestamp": f"2026-11-21 08:24:{second:02}.500 UTC",
        "dbname": "block_0",
        "pid": 23994,
        "error_severity": "ERROR",
        "state_code": code,
        "message": "canceling statement due to lock timeout",
        "statement": STATE_UPDATE,
        "application_name": component,
    }
    return known | fields


def lock_timeouts(observer: PostgresLog) -> list[events.LockTimeoutSeen]:
    return [event for event in observer.poll() if isinstance(event, events.LockTimeoutSeen)]


@pytest.mark.parametrize("code", ["55P03", "57014", "40001"])
def test_a_statement_that_was_ended_for_a_lock_is_told_with_its_kind(
    observer: PostgresLog, server: Server, code: str
) -> None:
    server.write(ended(code))
    (event,) = lock_timeouts(observer)
    assert (event.component, event.code, event.count) == ("api-server", code, 1)
    assert event.statement == "SELECT task_instance, dag_run FOR UPDATE"
    assert datetime.fromtimestamp(event.at, UTC).isoformat() == "2026-11-21T08:24:01.500000+00:00"


def test_statements_of_one_kind_are_one_event_with_their_number(observer: PostgresLog, server: Server) -> None:
    for second in range(1, 51):
        server.write(ended("55P03", second=second))
    server.write(ended("55P03", "scheduler-1"))
    server.write(ended("55P03", statement=REFRESH))
    found = lock_timeouts(observer)
    assert sorted((event.component, event.count) for event in found) == [
        ("api-server", 1),
        ("api-server", 50),
        ("scheduler-1", 1),
    ]
    assert lock_timeouts(observer) == []


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(ended("57014", "airflow-stress"), id="of ours"),
        pytest.param(ended("57014", "health"), id="of a health check"),
        pytest.param(ended("55P03", dbname="block_1"), id="of another block"),
        pytest.param(ended("23505"), id="for another reason"),
    ],
)
def test_a_statement_is_no_lock_time_out_of_airflow_if_it_was_ended(
    observer: PostgresLog, server: Server, record: dict[str, Any]
) -> None:
    server.write(record)
    assert lock_timeouts(observer) == []


def test_a_statement_of_a_session_that_has_no_name_is_its_process_s(observer: PostgresLog, server: Server) -> None:
    server.write(ended("23505", application_name="api-server"))
    server.write(ended("55P03", application_name=""))
    assert [event.component for event in lock_timeouts(observer)] == ["api-server"]
