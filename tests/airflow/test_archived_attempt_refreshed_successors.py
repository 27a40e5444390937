"""A run's move to a new DAG version beside the end of an attempt."""

from __future__ import annotations

from typing import Any

import pytest
from dag_data import write_dag
from parties import Party

from airflow_stress_explore.airflow.operation import Fixture
from airflow_stress_explore.airflow.operations.attempts import retry, retrying_run
from airflow_stress_explore.airflow.operations.scheduler import dag_version_refresh
from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "refreshed_successors"


@pytest.fixture(autouse=True)
def _archives(release: str) -> None:
    if FIXES[FIX].fits(release) is not Fit.APPLIES:
        pytest.skip("this release archives no attempts")


def started(release: str, dag_id: str) -> Fixture:
    """A running run whose DAG has a new version."""
    fixture = Fixture(release, dag_id)
    retrying_run(fixture)
    write_dag(dag_id, 2, extra="new")
    return fixture


def versions(database: Any, dag_id: str) -> list[int]:
    """The versions of the live task instances, by task."""
    query = """SELECT version_number FROM task_instance t JOIN dag_version v ON v.id = t.dag_version_id
               WHERE t.dag_id = %s AND working_set ORDER BY task_id"""
    return [version for (version,) in database.query(query, dag_id)]


def move_during_retry(database: Any, release: str, dag_id: str) -> list[int]:
    """A worker reports a retry and holds the attempt; a scheduler moves the run; another round follows."""
    fixture = started(release, dag_id)
    worker = Party("worker", retry(fixture, 0)).stop("before", r"^UPDATE task_instance ").run_to_stop()
    loop = Party("scheduler", dag_version_refresh(fixture, 1)).start().wait_blocked(database)
    worker.resume().result()
    loop.result()
    Party("next round", dag_version_refresh(fixture, 1)).start().result()
    return versions(database, dag_id)


def test_a_successor_that_the_move_waited_for_has_the_new_version(database: Any, mounted: Any, release: str) -> None:
    assert move_during_retry(database, release, "stock") == [1, 2]
    database.query("UPDATE dag_run SET state = 'success'")
    with mounted(FIX) as status:
        assert status[FIX] == "loaded"
        assert move_during_retry(database, release, "fixed") == [2, 2]


def test_a_run_has_moved_once_all_its_unfinished_task_instances_have(database: Any, mounted: Any, release: str) -> None:
    """One task instance alone has the version: the end of an attempt gave it to the successor."""
    fixture = started(release, "raced")
    new = "(SELECT id FROM dag_version WHERE dag_id = 'raced' AND version_number = 2)"
    database.query(f"UPDATE task_instance SET dag_version_id = {new} WHERE task_id = 'task_0'")
    dag_version_refresh(fixture, 0)()
    assert versions(database, "raced") == [2, 1]
    with mounted(FIX):
        dag_version_refresh(fixture, 0)()
    assert versions(database, "raced") == [2, 2]
