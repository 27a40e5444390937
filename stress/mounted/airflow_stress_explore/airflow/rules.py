"""What must hold of runs, backfills and callbacks after every schedule; `invariants.py` is about task instances.

cap_exceeded      a DAG has at most `max_active_runs` running runs
early_completion  a backfill that is complete has no unfinished run
false_alarm       a task that is stored as a success has no failure callback
alarm_twice       one attempt of a task has one failure callback
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from airflow_stress_explore.airflow.operation import Fixture
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.sql.testbed import Execution

_CALLBACKS = ("callback", "callback_request")
"""The tables in which requests to run a task's callback wait for the DAG processor: since 3.2, and until 3.1."""

_OF_SUCCESS = re.compile(r'task_callback_type[\\\\"]*: *[\\\\"]*success')
"""In a request as JSON, which may be a string within JSON: it asks for the callback of a success."""

_UNFINISHED = ("queued", "running")


def check(played: Execution, fixture: Fixture) -> list[Failure]:
    """All of them."""
    return [*_caps(played, fixture), *_completions(played), *_alarms(played, fixture)]


def _caps(played: Execution, fixture: Fixture) -> Iterator[Failure]:
    most = fixture.facts.get("max_active_runs")
    if most is None or "dag_run" not in played.committed:
        return
    running = Counter(str(row["dag_id"]) for row in played.committed["dag_run"] if row["state"] == "running")
    for dag_id, number in running.items():
        if number > most:
            yield Failure("cap_exceeded", f"{number} runs of {dag_id} are running, and max_active_runs is {most}")


def _completions(played: Execution) -> Iterator[Failure]:
    for backfill in played.committed.get("backfill", []):
        if backfill["completed_at"] is None:
            continue
        runs = [row for row in played.committed.get("dag_run", []) if row["backfill_id"] == backfill["id"]]
        unfinished = sum(row["state"] in _UNFINISHED for row in runs)
        if unfinished:
            yield Failure("early_completion", f"the backfill is complete, and {unfinished} of its runs are unfinished")


def _alarms(played: Execution, fixture: Fixture) -> Iterator[Failure]:
    requests = [json.dumps(row) for table in _CALLBACKS for row in played.committed.get(table, [])]
    requests = [text for text in requests if "TaskCallbackRequest" in text and not _OF_SUCCESS.search(text)]
    states: Mapping[str, object] = {
        str(row["id"]): row["state"] for row in played.committed.get("task_instance", []) if requests
    }
    for instance in map(str, fixture.instances):
        about = sum(instance in text for text in requests)
        if about and states.get(instance) == "success":
            yield Failure("false_alarm", f"task instance {instance[-12:]} succeeded, and a failure callback is to run")
        if about > 1:
            yield Failure("alarm_twice", f"{about} failure callbacks are to run for task instance {instance[-12:]}")
