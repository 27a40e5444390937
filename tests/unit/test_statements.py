"""Signatures of SQL statements: what a statement does to which rows, bounded, and never a value."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress.observers.statements import signature

COLUMNS = ", ".join(f"task_instance.column_{n} AS task_instance_column_{n}" for n in range(60))
JOIN = (
    " \nFROM task_instance JOIN dag_run AS dag_run_1 ON dag_run_1.dag_id = task_instance.dag_id "
    "AND dag_run_1.run_id = task_instance.run_id \n"
)
ROW = "WHERE task_instance.id = '01a1fd34-d8ea-7358-ae2f-c11edeadafe1'::uuid::UUID"

# The state update of the Execution API, as SQLAlchemy writes it and the server's log quotes it.
STATE_UPDATE = f"SELECT {COLUMNS}{JOIN}{ROW} FOR UPDATE"
# The scheduler's refresh of a run's DAG version.
REFRESH = (
    "UPDATE task_instance SET updated_at='2026-11-21T08:24:31.725503+00:00'::timestamptz, "
    "dag_version_id='01a1fd34-fd21-7809-b69f-007306958a6b'::uuid::UUID WHERE task_instance.dag_id = 'churn_2' "
    "AND task_instance.run_id = 'r2-1795249461.385' AND task_instance.state IN ('running', 'queued', NULL)"
)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (STATE_UPDATE, "SELECT task_instance, dag_run FOR UPDATE"),
        (f"SELECT {COLUMNS}{JOIN}{ROW}", "SELECT task_instance, dag_run"),
        (
            f"SELECT {COLUMNS}{JOIN}{ROW} FOR UPDATE OF task_instance SKIP LOCKED",
            "SELECT task_instance, dag_run FOR UPDATE OF task_instance SKIP LOCKED",
        ),
        (f"SELECT {COLUMNS} FROM task_instance FOR NO KEY UPDATE", "SELECT task_instance FOR NO KEY UPDATE"),
        ("SELECT id FROM trigger LIMIT 50 FOR SHARE NOWAIT", "SELECT trigger FOR SHARE NOWAIT"),
        ("SELECT 1 FROM a JOIN a AS b ON a.x = b.x", "SELECT a"),
        (REFRESH, "UPDATE task_instance SET dag_version_id"),
        ("UPDATE dag_run SET state='running', clear_number=2", "UPDATE dag_run SET state, clear_number"),
        ("UPDATE ONLY dag_run SET state=$1 WHERE id = $2", "UPDATE dag_run SET state"),
        ("update dag_run set state=$1 where id = $2", "UPDATE dag_run SET state"),
        ("UPDATE job SET note='a WHERE, b=''c'' ', n=1 WHERE id=5", "UPDATE job SET note, n"),
        ("DELETE FROM trigger WHERE id IN (5, 6)", "DELETE trigger"),
        ("INSERT INTO log (dttm, event) VALUES ('x', 'y')", "INSERT log"),
        ("SELECT 1; DELETE FROM trigger", "SELECT "),
        ("", ""),
        ("LOCK TABLE dag IN EXCLUSIVE MODE", "LOCK TABLE dag IN EXCLUSIVE MODE"),
        ("CALL sweep(12345, 'secret')", "CALL sweep(?, ?)"),
        # Cut off by the server, in the middle of a value.
        ("UPDATE dag_run SET conf='a, password=hunter2", "UPDATE dag_run SET conf"),
        ("EXECUTE p('hunter2", "EXECUTE p(?"),
        ("SELECT substring(x FROM 4711) FROM dag", "SELECT dag"),
    ],
)
def test_a_statement_s_signature(statement: str, expected: str) -> None:
    assert signature(statement) == expected


def test_line_breaks_make_no_difference() -> None:
    assert signature(REFRESH.replace(" ", "\n\t ")) == signature(REFRESH)


def test_values_make_no_difference() -> None:
    assert signature(REFRESH.replace("churn_2", "it''s another")) == signature(REFRESH)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t SET " + ", ".join(f"column_{n}=1" for n in range(200)),
        "SELECT * FROM " + " JOIN ".join(f"table_{n}" for n in range(200)),
        "VACUUM " + "x" * 4000,
        "DELETE FROM " + "x" * 63,
    ],
    ids=["update", "select", "other", "delete"],
)
def test_a_signature_is_bounded(statement: str) -> None:
    assert len(signature(statement)) <= 160


@given(
    value=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1),
    template=st.sampled_from(
        [
            "UPDATE t SET a={}, b=1 WHERE c = {}",
            "SELECT a FROM t WHERE b = {} FOR UPDATE",
            "INSERT INTO t VALUES ({})",
            "DELETE FROM t WHERE a = {}",
            "CALL f({})",
        ]
    ),
)
def test_no_text_survives(value: str, template: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    assert signature(template.format(*[quoted] * 2)) == signature(template.format(*["'x'"] * 2))


@given(number=st.integers(min_value=10, max_value=10**18))
def test_no_number_survives(number: int) -> None:
    for template in ("UPDATE t SET a={} WHERE b = {}", "SELECT a FROM t WHERE b = {} LIMIT {}", "CALL f({}, {})"):
        assert not re.search(r"\d", signature(template.format(number, number)))
