"""A clear whose selected attempt ends before the request reads it again."""

from __future__ import annotations

from typing import Any

import pytest
from parties import Party

from airflow_stress_explore.airflow.operation import Fixture
from airflow_stress_explore.airflow.operations.attempts import retry, retrying_run
from airflow_stress_explore.airflow.operations.rest_api import clearing
from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "clearing_successors"


@pytest.fixture(autouse=True)
def _archives(release: str) -> None:
    if FIXES[FIX].fits(release) is not Fit.APPLIES:
        pytest.skip("this release archives no attempts")


def clear_during_retry(database: Any, release: str, dag_id: str) -> str | None:
    """A request has selected the task instance; the worker reports a retry; the request goes on. The task's state."""
    fixture = Fixture(release, dag_id)
    retrying_run(fixture)
    person = Party("person", clearing(fixture, 1)).stop("before", r"WHERE task_instance\.id IN").run_to_stop()
    Party("worker", retry(fixture, 0)).start().result()
    assert person.resume().result().answer == "200"
    query = "SELECT state FROM task_instance WHERE dag_id = %s AND task_id = 'task_0' AND working_set"
    state: str | None = database.query(query, dag_id)[0][0]
    return state


def test_a_clear_takes_the_attempt_that_began_after_the_selection(
    database: Any, mounted: Any, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    from airflow.api_fastapi.core_api.routes.public import task_instances as routes
    from airflow.models import dagrun

    for dag_id, fixes, expected in (("stock", (), "up_for_retry"), ("fixed", (FIX,), None)):
        with mounted("run_lock_strength", *fixes) as status:
            assert set(status.values()) == {"loaded"}
            # This process imported the routes before the fix was mounted: they hold the stock function by name.
            monkeypatch.setattr(routes, "lock_dag_runs", dagrun.lock_dag_runs)
            assert clear_during_retry(database, release, dag_id) == expected
