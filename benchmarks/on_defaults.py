"""Are the races there on PostgreSQL's and Airflow's defaults? `.venv/bin/python -m benchmarks.on_defaults [OPTION...]`

A run as `stress run` makes it, with three settings put back to their defaults in both arms: `deadlock_timeout` 1 s
instead of 100 ms, durable commits (`fsync`, `full_page_writes`, `synchronous_commit` on), and
`core.min_serialized_dag_update_interval` 30 s. Options are those of `stress run` but for `--arm`.
"""

from __future__ import annotations

import sys

from stress import cli, run
from stress.block import cluster_settings
from stress.cluster.base import Runtime
from stress.cluster.local import LocalRuntime
from stress.cluster.postgres import PostgresSettings
from stress.plan import Plan

_INTERVAL = "config:core.min_serialized_dag_update_interval=30"


def _on_defaults(plan: Plan) -> Runtime:
    server = PostgresSettings(deadlock_timeout_ms=1000, durable=True)
    return LocalRuntime(plan.run_id, server, cold_start=plan.cold_start, settings=cluster_settings(plan))


if __name__ == "__main__":
    run.runtime_of = _on_defaults
    arms = ("--arm", f"stock={_INTERVAL},fixes:none", "--arm", f"fixed={_INTERVAL},fixes:all")
    sys.exit(cli.main(["run", *arms, *sys.argv[1:]]))
