"""What a statement accesses, and which accesses conflict."""

from __future__ import annotations

import pytest

from airflow_stress_explore.sql.access import ADVISORY, UNKNOWN, Access, AccessSet, Schema, access_set

SCHEMA = Schema.of(
    ["dag", "dag_run", "task_instance", "xcom", "log"],
    [("task_instance", "dag_run"), ("xcom", "task_instance"), ("dag_run", "dag")],
    pure=["lower", "count", "in", "values", "conflict", "as"],
    opaque=["busy_view", "Mixed Case"],
)


def of(statement: str) -> AccessSet:
    return access_set(statement, SCHEMA)


def test_a_plain_select_only_reads() -> None:
    assert of("SELECT a FROM task_instance JOIN dag_run ON x = y") == AccessSet(
        reads=frozenset({"task_instance", "dag_run"})
    )


def test_for_update_locks_every_table_of_the_statement() -> None:
    found = of("SELECT a FROM task_instance JOIN dag_run AS dag_run_1 ON x = y WHERE z = %(z)s FOR UPDATE")
    assert found.locks == {"task_instance", "dag_run"}
    assert found.writes == frozenset()


@pytest.mark.parametrize(
    "clause",
    ["FOR UPDATE OF task_instance", "FOR NO KEY UPDATE OF task_instance SKIP LOCKED", "for share of ti nowait"],
)
def test_for_update_of_locks_that_table_alone(clause: str) -> None:
    found = of(f"SELECT ti.a FROM task_instance AS ti JOIN dag_run ON x = y {clause}")
    assert found.locks == {"task_instance"}
    assert found.reads == {"dag_run"}


def test_a_write_shares_the_rows_that_its_foreign_keys_point_to() -> None:
    found = of("UPDATE task_instance SET state='x' WHERE id IN (SELECT id FROM log)")
    assert found == AccessSet(
        reads=frozenset({"log"}),
        locks=frozenset({"task_instance"}),
        shares=frozenset({"dag_run"}),
        writes=frozenset({"task_instance"}),
    )


def test_a_delete_writes_what_points_to_its_table() -> None:
    assert of("DELETE FROM dag_run WHERE id = 1").writes == {"dag_run", "task_instance", "xcom"}


def test_a_write_is_found_by_a_qualified_or_quoted_name() -> None:
    assert of('UPDATE public."log" SET a = 1').writes == {"log"}
    assert of("DELETE FROM ONLY public.log").writes == {"log"}


def test_a_locking_clause_with_an_unknown_name_locks_every_table() -> None:
    assert of("SELECT 1 FROM log, xcom x FOR UPDATE OF log, x").locks == {"log", "xcom"}
    assert of("SELECT 1 FROM xcom AS x JOIN log ON a = b FOR UPDATE OF x").locks == {"xcom"}


def test_an_upsert_does_not_update_a_table_called_set() -> None:
    assert of("INSERT INTO log (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2").writes == {"log"}


def test_a_value_is_no_table() -> None:
    assert of("SELECT 'dag_run' FROM log").reads == {"log"}


def test_advisory_locks_are_locked() -> None:
    assert ADVISORY in of("SELECT pg_try_advisory_xact_lock(1)").locks


@pytest.mark.parametrize(
    "statement",
    [
        "MERGE INTO log USING xcom ON a = b WHEN MATCHED THEN UPDATE SET a = 1",
        "WITH moved AS (MERGE INTO log USING xcom ON a = b WHEN MATCHED THEN DELETE RETURNING a) SELECT a FROM moved",
        "CALL store(1)",
        "SELECT store(1)",
        "SELECT a FROM log WHERE public.store (a) > 1",
        "SELECT a INTO other FROM log",
        "ROLLBACK TO SAVEPOINT sa_savepoint_1",
        "DO 'BEGIN END'",
        "COPY log FROM STDIN",
        "ALTER TABLE log ADD COLUMN b int",
        "FETCH ALL FROM c",
        "LOCK TABLE log IN ACCESS EXCLUSIVE MODE",  # even a plain SELECT waits for it
        "TRUNCATE log, xcom",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SELECT nextval('log_id_seq')",
        "SELECT a FROM log WHERE new_function(a)",
        "WITH found AS (SELECT a FROM log) SELECT a INTO other FROM found",
        "UPDATE other.elsewhere SET a = 1",
        "INSERT INTO elsewhere (a) VALUES (1)",
        "SELECT a FROM busy_view",
        'SELECT a FROM "Mixed Case"',
        "SELECT a FROM log -- UPDATE",
        "SELECT $$ FROM $$, a FROM log",
    ],
)
def test_a_statement_that_cannot_be_read_conflicts_with_everything(statement: str) -> None:
    found = Access(of(statement))
    assert found.set.locks >= {*SCHEMA.tables, ADVISORY, UNKNOWN}
    others = ("SELECT pg_try_advisory_xact_lock(1)", "UPDATE log SET a = 1", "SELECT a FROM dag", statement)
    assert all(found.conflicts(Access(of(other))) for other in others)
    assert Access(found.set, ends=True).conflicts(Access(of("SELECT a FROM log")))


@pytest.mark.parametrize(
    "statement",
    [
        "SAVEPOINT sa_savepoint_1",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "SET LOCAL lock_timeout = 100",
        "SHOW transaction_isolation",
        "SELECT random(), lower('store(1)'), count(*) FROM log",
        "SELECT a FROM log WHERE a IN (1) AND store = 1",
    ],
)
def test_a_statement_that_locks_nothing_is_read(statement: str) -> None:
    assert of(statement).locks == frozenset()


READ = Access(of("SELECT a FROM task_instance"))
WRITE = Access(of("UPDATE task_instance SET a = 1"))
LOCK = Access(of("SELECT a FROM task_instance FOR UPDATE"))
LOCK_RUN = Access(of("SELECT a FROM dag_run FOR UPDATE"))
INSERT_XCOM = Access(of("INSERT INTO xcom (a) VALUES (1)"))
COMMIT = Access(WRITE.set, ends=True)
ROLLBACK = Access(AccessSet(locks=WRITE.set.locks, shares=WRITE.set.shares), ends=True)
OTHER_COMMIT = Access(of("INSERT INTO log (a) VALUES (1)"), ends=True)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (READ, WRITE, False),  # not committed, so not seen
        (READ, COMMIT, True),
        (READ, ROLLBACK, False),
        (READ, READ, False),
        (WRITE, WRITE, True),
        (LOCK, WRITE, True),
        (LOCK, COMMIT, True),
        (LOCK, ROLLBACK, True),
        (LOCK_RUN, WRITE, True),  # by the foreign key
        (INSERT_XCOM, INSERT_XCOM, True),
        (Access(of("INSERT INTO log (a) VALUES (1)")), WRITE, False),
        (COMMIT, COMMIT, True),
        (COMMIT, OTHER_COMMIT, False),
    ],
)
def test_dependence_is_what_read_committed_makes_it(one: Access, other: Access, expected: bool) -> None:
    assert one.conflicts(other) is expected
    assert other.conflicts(one) is expected
