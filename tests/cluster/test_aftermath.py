"""What faults leave behind, asked of the migrated schema of each release that the project has a lock for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from stress import events
from stress.arms.releases import check, parse_version
from stress.arms.spec import parse_arm
from stress.cluster.local import LocalRuntime, PreparedLocalRuntime
from stress.observers.database import Database
from stress.races.lost_callback import checker as lost_callback
from stress.races.stuck_task import checker as stuck_task
from tests.unit.clusters import PaperCluster

RELEASES = ("3.1.8", "3.2.1", "3.3.2", "3.4.0b2")
NOW = datetime.now(UTC)
PAST = NOW - timedelta(seconds=60)
_numbers = itertools.count(1)

# What Airflow's models would have put into a column that the test does not care for.
_ANY: dict[str, Any] = {
    "integer": 0,
    "boolean": False,
    "json": "{}",
    "jsonb": "{}",
    "bytea": b"",
    "timestamp with time zone": NOW,
    "character varying": "x",
    "text": "x",
}


class Rows:
    """Writes rows of a release's tables, with anything in the columns that must not be null."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        # Foreign keys (to DAGs, versions, pools, log templates) are not what is tested.
        self._connection.execute("SET session_replication_role = replica")

    def add(self, table: str, **values: Any) -> None:
        """One row."""
        needed = self._connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = %s AND is_nullable = 'NO' AND column_default IS NULL",
            (table,),
        )
        row = {name: UUID(int=next(_numbers)) if kind == "uuid" else _ANY[kind] for name, kind in needed} | values
        columns = sql.SQL(", ").join(map(sql.Identifier, row))
        marks = sql.SQL(", ").join(sql.Placeholder() * len(row))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), columns, marks)
        self._connection.execute(statement, list(row.values()))

    def execute(self, statement: str) -> None:
        """A change."""
        self._connection.execute(statement.encode())

    def close(self) -> None:
        """Close the session."""
        self._connection.close()


class Migrated(PaperCluster):
    """A block's database as a release makes it."""

    def __init__(self, directory: Path, dsn: str, release: str) -> None:
        super().__init__(directory)
        self.release = release
        self.rows = Rows(dsn)
        self._dsn = dsn

    def dsn(self, application_name: str = "observer") -> str:  # noqa: ARG002 - nobody tells our sessions apart
        return self._dsn

    def deadline(self, number: int, *, due: datetime, state: str | None, trigger: int | None) -> str:
        """A deadline with its callback; handled if the callback has a state. Its id."""
        ident = UUID(int=number)
        if self.release.startswith("3.1"):
            self.rows.add("deadline", id=ident, deadline_time=due, callback_state=state, trigger_id=trigger)
        else:
            callback = UUID(int=1000 + number)
            self.rows.add("callback", id=callback, state=state or "scheduled", trigger_id=trigger)
            handled = state is not None
            self.rows.add("deadline", id=ident, deadline_time=due, missed=handled, callback_id=callback)
        return str(ident)

    def trigger(
        self, number: int, owner: int | None, classpath: str = "airflow.triggers.callback.CallbackTrigger"
    ) -> None:
        self.rows.add("trigger", id=number, classpath=classpath, triggerer_id=owner, created_date=NOW)

    def run(self, number: int, state: str, dag: str = "churn_0") -> str:
        """A run; its id."""
        self.rows.add("dag_run", id=number, dag_id=dag, run_id=f"run-{number}", state=state, updated_at=PAST)
        return f"run-{number}"

    def task(self, number: int, run: str, state: str | None, dag: str = "churn_0", **values: Any) -> str:
        """A task instance; its id."""
        ident = UUID(int=2000 + number)
        values = {"try_number": 1, "updated_at": PAST, **values}
        self.rows.add("task_instance", id=ident, dag_id=dag, run_id=run, task_id=f"t{number}", state=state, **values)
        return str(ident)

    def earlier_try(self, number: int, run: str, state: str) -> str:
        """A try of a task before its present one; its id. From 3.4 it is an archived row of the same table."""
        ident = UUID(int=3000 + number)
        values = {"dag_id": "churn_0", "run_id": run, "task_id": f"t{number}", "try_number": 0, "updated_at": PAST}
        if parse_version(self.release) < parse_version("3.4.0b1"):
            self.rows.add("task_instance_history", task_instance_id=ident, map_index=-1, state=state, **values)
        else:
            self.rows.add("task_instance", id=ident, state=state, working_set=None, **values)
        return str(ident)


@pytest.fixture(scope="module")
def runtime() -> Iterator[PreparedLocalRuntime]:
    """A migrated template database of each release."""
    with LocalRuntime() as runtime:
        yield runtime.prepare([parse_arm(f"a{number}=airflow:{v}", check(v)) for number, v in enumerate(RELEASES)])


@pytest.fixture(params=RELEASES)
def cluster(runtime: PreparedLocalRuntime, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Migrated]:
    """A database of the test's own."""
    name = f"block_{next(_numbers)}"
    place = RELEASES.index(request.param)
    runtime.postgres.create_database(name, f"template_{place}")
    cluster = Migrated(tmp_path / "cluster", runtime.postgres.dsn(name, "test"), request.param)
    yield cluster
    cluster.rows.close()


@pytest.fixture
def database(cluster: Migrated) -> Iterator[Database]:
    """An observer that has begun."""
    database = Database(cluster)
    database.start()
    yield database
    database.close()


def test_callbacks_are_told_by_the_rows_that_are_left_of_them(cluster: Migrated, database: Database) -> None:
    cluster.rows.add("job", id=7, hostname="triggerer-1", state="running", latest_heartbeat=datetime.now(UTC))
    cluster.rows.add("job", id=8, hostname="triggerer-2", state="failed", latest_heartbeat=PAST, end_date=PAST)
    cluster.trigger(1, None)
    cluster.trigger(2, 7)
    cluster.trigger(3, 8)
    expected = {
        cluster.deadline(1, due=PAST, state=None, trigger=None): "never_handled",
        cluster.deadline(2, due=PAST, state="queued", trigger=None): "no_trigger",
        cluster.deadline(3, due=PAST, state="queued", trigger=99): "no_trigger",
        cluster.deadline(4, due=PAST, state="queued", trigger=1): "unassigned",
        cluster.deadline(5, due=PAST, state="running", trigger=2): "owned_not_run",
        cluster.deadline(6, due=PAST, state="queued", trigger=3): "owner_dead",
        cluster.deadline(7, due=PAST, state="success", trigger=None): "ended_without_receipt",
    }
    cluster.deadline(8, due=NOW + timedelta(hours=1), state=None, trigger=None)
    assert database.aftermath(drains=True) is not None
    (passed,) = (event for event in database.finish() if isinstance(event, events.DeadlinesPassed))
    assert {each.id: lost_callback.cause_of(each) for each in passed.deadlines} == expected
    by_id = {each.id: each for each in passed.deadlines}
    owned = next(each for each in by_id.values() if each.trigger == 2)
    assert owned.owner == "triggerer-1"
    assert owned.owner_silent_s is not None
    assert abs(owned.due_at - PAST.timestamp()) < 0.01


def test_callbacks_wait_until_their_deadline_is_handled_and_their_trigger_is_gone(
    cluster: Migrated, database: Database
) -> None:
    aftermath = database.aftermath(drains=True)
    assert aftermath is not None
    assert aftermath.callbacks().count == 0
    cluster.deadline(1, due=PAST, state=None, trigger=None)
    cluster.deadline(2, due=NOW + timedelta(hours=1), state=None, trigger=None)
    cluster.trigger(1, None)
    waiting = aftermath.callbacks()
    assert waiting.count == 2
    assert not aftermath.runners()
    cluster.rows.execute("UPDATE trigger SET triggerer_id = 7")
    assert aftermath.callbacks().marks != waiting.marks, "a new owner is a change"
    assert not aftermath.runners(), "callbacks are no polling triggers"
    cluster.trigger(2, 7, "airflow_stress_dags.out_of_order_frame.BigQueryLikeTrigger")
    assert aftermath.runners()


def test_finite_tasks_wait_until_they_and_their_runs_have_ended(cluster: Migrated, database: Database) -> None:
    run = cluster.run(1, "running")
    cluster.task(1, run, "success")
    cluster.task(2, run, "queued")
    cluster.task(3, run, None)
    cluster.task(4, cluster.run(2, "running", "bigquery_endless"), "deferred", "bigquery_endless")
    cluster.task(5, cluster.run(3, "running", "deadline_queue"), "scheduled", "deadline_queue")
    aftermath = database.aftermath(drains=True)
    assert aftermath is not None
    cluster.task(6, cluster.run(4, "running"), "queued")  # came after the settling began
    waiting = aftermath.tasks()
    assert (waiting.count, set(waiting.states)) == (3, {"queued", "none"})
    cluster.rows.execute("UPDATE task_instance SET state = 'running' WHERE task_id = 't2'")
    assert aftermath.tasks().marks != waiting.marks
    cluster.rows.execute("UPDATE task_instance SET state = 'failed' WHERE dag_id = 'churn_0'")
    assert aftermath.tasks().count == 1, "the run"
    cluster.rows.execute("UPDATE dag_run SET state = 'failed' WHERE id = 1")
    assert aftermath.tasks().count == 0


def test_what_is_not_success_is_told_at_the_end(cluster: Migrated, database: Database) -> None:
    cluster.rows.add("job", id=5, hostname="scheduler-1", state="failed", latest_heartbeat=PAST)
    cluster.rows.add("job", id=7, hostname="triggerer-2", state="running", latest_heartbeat=datetime.now(UTC))
    cluster.trigger(9, 7, "airflow_stress_dags.out_of_order_frame.BigQueryLikeTrigger")
    run = cluster.run(1, "running")
    cluster.task(1, run, "success")
    queued = cluster.task(2, run, "queued", queued_by_job_id=5)
    deferred = cluster.task(3, run, "deferred", trigger_id=9)
    earlier = cluster.earlier_try(1, run, "failed")
    ended = cluster.run(2, "success")
    cluster.task(4, ended, "success")
    cluster.task(5, cluster.run(3, "queued", "deadline_queue"), None, "deadline_queue")
    cluster.run(4, "failed")
    assert database.aftermath(drains=True) is not None
    (counted,) = (event for event in database.finish() if isinstance(event, events.FiniteTasksCounted))
    assert counted.total == 4
    found = {task.id: task for task in counted.unfinished}
    assert found.keys() == {queued, deferred, earlier}
    assert (found[queued].state, found[queued].queued_by, found[queued].owner) == ("queued", "scheduler-1", None)
    assert (found[deferred].owner, found[deferred].earlier_try) == ("triggerer-2", False)
    assert "trigger 9" in found[deferred].detail
    assert (found[earlier].earlier_try, found[earlier].run_state) == (True, "running")
    states = {run.run: (run.state, run.by_state) for run in counted.runs}
    assert states == {
        "run-1": ("running", {"success": 1, "queued": 1, "deferred": 1}),
        "run-4": ("failed", {}),
    }
    assert abs((found[queued].changed_at or 0) - PAST.timestamp()) < 0.01


def test_a_block_that_did_not_come_to_settle_leaves_nothing_to_tell(database: Database) -> None:
    kinds = {type(event) for event in database.finish()}
    assert not kinds & {events.DeadlinesPassed, events.FiniteTasksCounted}


def test_without_faults_only_what_has_not_changed_since_the_settling_began_waits(
    cluster: Migrated, database: Database
) -> None:
    cluster.rows.add("job", id=7, hostname="triggerer-2", state="running", latest_heartbeat=datetime.now(UTC))
    cluster.trigger(9, 7, "airflow_stress_dags.out_of_order_frame.BigQueryLikeTrigger")
    run = cluster.run(1, "running")
    ids = {
        "stands": cluster.task(1, run, "queued"),
        "moves": cluster.task(2, run, "queued"),
        "changes hands": cluster.task(3, run, "deferred", trigger_id=9),
        "ended": cluster.task(4, run, "success"),
        "not begun": cluster.task(5, run, None),
    }
    standing = cluster.run(2, "running", "churn_1")
    cluster.task(6, standing, None, "churn_1")
    cluster.task(7, standing, "success", "churn_1")
    moving = cluster.run(3, "running", "churn_2")
    cluster.task(8, moving, None, "churn_2")
    cluster.task(9, cluster.run(4, "queued", "churn_2"), None, "churn_2")  # waits for the run before it
    cluster.task(10, cluster.run(5, "running", "bigquery_endless"), "deferred", "bigquery_endless")
    aftermath = database.aftermath(drains=False)
    assert aftermath is not None
    assert aftermath.tasks().count == 5
    cluster.task(11, cluster.run(6, "running"), "queued")  # came after the settling began
    cluster.rows.execute("UPDATE task_instance SET state = 'running' WHERE task_id = 't2'")
    cluster.rows.execute("UPDATE trigger SET triggerer_id = 8")
    cluster.rows.execute("UPDATE task_instance SET state = 'scheduled' WHERE task_id = 't8'")
    waiting = aftermath.tasks()
    assert (waiting.count, set(waiting.states)) == (2, {"queued", "none"})
    cluster.rows.execute("UPDATE task_instance SET state = NULL WHERE task_id = 't8'")
    assert aftermath.tasks() == waiting, "what moved once is not stuck when it is back where it was"
    # A new version of the DAG is written into every row: that is no move.
    cluster.rows.execute("UPDATE task_instance SET updated_at = now()")
    (counted,) = (event for event in database.finish() if isinstance(event, events.FiniteTasksCounted))
    stood = {task.id for task in counted.unfinished if task.stood}
    assert stood & set(ids.values()) == {ids["stands"]}
    assert {each.run for each in counted.runs if each.stood} == {standing}


def test_without_faults_a_block_in_which_everything_moves_waits_for_nothing(
    cluster: Migrated, database: Database
) -> None:
    run = cluster.run(1, "running")
    cluster.task(1, run, "queued")
    cluster.task(2, run, None)
    aftermath = database.aftermath(drains=False)
    assert aftermath is not None
    assert aftermath.tasks().count == 1
    cluster.rows.execute("UPDATE task_instance SET state = 'running' WHERE task_id = 't1'")
    assert aftermath.tasks().count == 0


def test_a_task_without_a_state_in_a_run_that_ended_as_success_is_lost(cluster: Migrated, database: Database) -> None:
    run = cluster.run(1, "success")
    cluster.task(1, run, "success")
    lost = cluster.task(2, run, None)
    assert database.aftermath(drains=False) is not None
    (counted,) = (event for event in database.finish() if isinstance(event, events.FiniteTasksCounted))
    assert [(task.id, task.state, task.run_state) for task in counted.unfinished] == [(lost, "none", "success")]


def test_the_unfinished_states_are_those_that_the_checker_knows(cluster: Migrated, database: Database) -> None:
    run = cluster.run(1, "running")
    for number, state in enumerate(sorted(stuck_task.FINISHED)):
        cluster.task(number, run, state)
    aftermath = database.aftermath(drains=True)
    assert aftermath is not None
    assert aftermath.tasks().states == set()


def version(cluster: Migrated, number: int, created: datetime) -> UUID:
    """A version of the DAG that changes."""
    ident = UUID(int=5000 + number)
    cluster.rows.add("dag_version", id=ident, dag_id="churn_0", version_number=number, created_at=created)
    return ident


def test_a_task_instance_that_a_refresh_passed_over_is_counted_and_no_other_is(
    cluster: Migrated, database: Database
) -> None:
    old, new = version(cluster, 1, PAST), version(cluster, 2, NOW)
    before, after = NOW - timedelta(seconds=5), NOW + timedelta(seconds=5)
    run = cluster.run(1, "running")
    cluster.task(1, run, "running", dag_version_id=new, scheduled_dttm=before)  # the refresh did this one
    cluster.task(2, run, "queued", dag_version_id=old, scheduled_dttm=before)  # and not this one
    cluster.task(3, run, "queued", dag_version_id=old, scheduled_dttm=after)  # had no state when the version came
    cluster.task(4, run, None, dag_version_id=old)
    cluster.task(5, run, "success", dag_version_id=old, scheduled_dttm=before)
    cluster.task(6, run, "running", dag_version_id=old, scheduled_dttm=before, try_number=2)  # cleared
    waiting = cluster.run(2, "running")  # not refreshed yet: only a cleared one has the new version
    cluster.task(7, waiting, "running", dag_version_id=old, scheduled_dttm=before)
    cluster.task(8, waiting, "running", dag_version_id=new, scheduled_dttm=before, try_number=2)
    list(database.poll())
    cluster.rows.execute("UPDATE task_instance SET state = 'success' WHERE task_id = 't2'")  # it is remembered
    (counted,) = (event for event in database.finish() if isinstance(event, events.StaleVersionsCounted))
    assert counted.passed_over == 1
