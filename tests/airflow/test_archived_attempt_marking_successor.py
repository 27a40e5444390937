"""A mark that waits for an attempt whose end makes a successor."""

from __future__ import annotations

from typing import Any

import pytest
from parties import Party

from airflow_stress_explore.airflow.operation import Fixture
from airflow_stress_explore.airflow.operations.attempts import retry, retrying_run
from airflow_stress_explore.airflow.operations.rest_api import marking
from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "marking_successor"


@pytest.fixture(autouse=True)
def _archives(release: str) -> None:
    if FIXES[FIX].fits(release) is not Fit.APPLIES:
        pytest.skip("this release archives no attempts")


def mark_during_retry(database: Any, release: str, dag_id: str) -> tuple[str, str]:
    """A worker reports a retry and holds the attempt; a user marks the task. The answer's code, and the state."""
    fixture = Fixture(release, dag_id)
    retrying_run(fixture)
    worker = Party("worker", retry(fixture, 0)).stop("before", r"^UPDATE task_instance ").run_to_stop()
    person = Party("person", marking(fixture, 1)).start().wait_blocked(database)
    worker.resume().result()
    answer = person.result().answer.partition(" ")[0]
    query = "SELECT state FROM task_instance WHERE dag_id = %s AND task_id = 'task_0' AND working_set"
    return answer, database.query(query, dag_id)[0][0]


# The successor refers to the run, which stock locks too strongly.
@pytest.mark.parametrize(("fixes", "expected"), [((), ("404", "up_for_retry")), ((FIX,), ("200", "failed"))])
def test_a_mark_finds_the_attempt_that_began_while_it_waited(
    database: Any,
    mounted: Any,
    monkeypatch: pytest.MonkeyPatch,
    release: str,
    fixes: tuple[str, ...],
    expected: tuple[str, str],
) -> None:
    from airflow.api_fastapi.core_api.routes.public import task_instances as routes
    from airflow.api_fastapi.core_api.services.public import task_instances as services
    from airflow.models import dagrun

    with mounted("run_lock_strength", *fixes) as status:
        assert set(status.values()) == {"loaded"}
        # This process imported these modules before the fixes were mounted: they hold the stock functions by name.
        monkeypatch.setattr(services, "lock_dag_runs", dagrun.lock_dag_runs)
        monkeypatch.setattr(routes, "_patch_ti_validate_request", services._patch_ti_validate_request)
        assert mark_during_retry(database, release, "raced") == expected


@pytest.mark.usefixtures("database")
def test_a_task_instance_that_does_not_exist_is_not_found(database: Any, mounted: Any, release: str) -> None:
    fixture = Fixture(release, "raced")
    retrying_run(fixture)
    database.query("DELETE FROM task_instance WHERE task_id = 'task_0'")
    with mounted(FIX):
        assert marking(fixture, 0)().answer.startswith("404")
