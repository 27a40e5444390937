"""Between the rows of which tables a statement stops, and how a statement is sent for that."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_stress_explore.airflow.pairs import PAIRS
from airflow_stress_explore.sql.access import Access, AccessSet, Schema, access_set
from airflow_stress_explore.sql.row_stops import RowStops, overlap, rest_of

SCHEMA = Schema.of(["run", "task", "log"], [("task", "run")], pure=["values", "max", "as"])


class FakeDatabase:
    """Takes statements and answers none."""

    backend = 1

    def __init__(self) -> None:
        self.sent: list[str] = []

    def query(self, statement: str) -> list[Any]:
        self.sent.append(" ".join(statement.split()))
        return []


def of(statement: str) -> Access:
    return Access(access_set(statement, SCHEMA))


def stops(*tables: str) -> tuple[RowStops, FakeDatabase]:
    database = FakeDatabase()
    rows = RowStops(database, tables)  # type: ignore[arg-type] # of the database only `query` and `backend` are used
    database.sent.clear()
    return rows, database


def test_tables_are_those_that_one_locks_and_another_locks_or_refers_to() -> None:
    writer = access_set("UPDATE task SET a = 1", SCHEMA)  # refers to `run`
    locker = access_set("SELECT a FROM run FOR UPDATE", SCHEMA)
    other = access_set("INSERT INTO log (a) VALUES (1)", SCHEMA)
    assert overlap([writer, locker, other]) == {"run"}
    assert overlap([writer, writer]) == {"task"}
    assert overlap([writer, other]) == frozenset()


def test_a_locking_select_is_sent_as_a_subquery_with_a_stop_for_each_row() -> None:
    rows, _ = stops("task")
    statement = "SELECT a FROM task ORDER BY a FOR UPDATE"
    assert rows.rewritten(statement, of(statement)) == (
        f"SELECT * FROM ({statement}) AS airflow_stress_rows "
        "WHERE (SELECT public.airflow_stress_stop(airflow_stress_rows IS NULL))"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a FROM task",
        "SELECT a FROM log FOR UPDATE",
        "UPDATE task SET a = 1",  # has triggers
        "WITH locked AS (SELECT a FROM task FOR UPDATE) SELECT a FROM locked",
    ],
)
def test_other_statements_are_sent_as_they_are(statement: str) -> None:
    rows, _ = stops("task")
    assert rows.rewritten(statement, of(statement)) == statement


@pytest.mark.parametrize(
    ("statement", "expected"),
    [("UPDATE task SET a = 1", True), ("SELECT a FROM task FOR SHARE", True), ("SELECT a FROM task", False)],
)
def test_a_statement_stops_if_it_locks_rows_of_such_a_table(statement: str, expected: bool) -> None:
    rows, _ = stops("task")
    assert rows.stops(of(statement)) is expected


def test_a_commit_does_not_stop() -> None:
    rows, _ = stops("task")
    assert not rows.stops(Access(of("UPDATE task SET a = 1").set, ends=True))


def test_a_gate_is_closed_once_a_backend() -> None:
    rows, database = stops("task")
    for backend in (7, 8, 7):
        rows.close_gate(backend)
    assert database.sent == ["SELECT pg_advisory_lock(7, 1)", "SELECT pg_advisory_lock(8, 1)"]


def test_the_gate_is_closed_again_before_the_exit_is_opened() -> None:
    """Else a backend could reach its next stop first, and pass it."""
    rows, database = stops("task")
    rows.resume(7)
    assert [word.strip() for word in database.sent[0].split(";")] == [
        "SELECT pg_advisory_lock(7, 2)",
        "SELECT pg_advisory_unlock(7, 1)",
        "SELECT pg_advisory_lock(7, 1)",
        "SELECT pg_advisory_unlock(7, 2)",
    ]


def test_the_rest_of_a_statement_reads_nothing_more() -> None:
    whole = of("UPDATE task SET a = (SELECT max(a) FROM log)")
    assert whole.set.reads == {"log"}
    assert rest_of(whole).set == AccessSet(locks=whole.set.locks, shares=whole.set.shares, writes=whole.set.writes)


def test_each_request_meets_each_sweep_on_rows_in_two_orders() -> None:
    names = {name for name, pair in PAIRS.items() if pair.row_steps and "+t" in name}
    requests = ("run_marking", "clearing_all", "marking_all", "failure", "run_clearing")
    sweeps = ("trigger_cleanup", "timeout_sweep")
    assert names == {f"{r}+{s}{variant}" for r in requests for s in sweeps for variant in ("", ":moved")}
