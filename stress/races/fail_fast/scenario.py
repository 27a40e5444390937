"""Runs of fail_fast DAGs whose two tasks end together."""

from __future__ import annotations

from stress.races.scenario import Scenario

FAIL_FAST = ("fail_fast_mixed", "fail_fast_both")

SCENARIO = Scenario(
    name="fail_fast_ends",
    summary="a task of a fail_fast DAG fails while the other one of its run ends",
    dags=FAIL_FAST,
    dag_files=("fail_fast",),
    users=("FailFastStarter", "UiReader"),
    observers=("postgres_log", "execution_api", "database"),
    # Both reports are answered at the same time by processes that do not wait for each other's interpreter.
    api_workers=3,
    hollow_workers=48,
    on_request=True,
)
