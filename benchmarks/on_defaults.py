"""Are the races there on PostgreSQL's and Airflow's defaults? `.venv/bin/python -m benchmarks.on_defaults DIR`

A run as `stress run` makes it, with three settings put back to their defaults in both arms: `deadlock_timeout` 1 s
instead of 100 ms, durable commits (`fsync`, `full_page_writes`, `synchronous_commit` on), and
`core.min_serialized_dag_update_interval` 30 s. A block has 45 s of load, so that a DAG that changes all the time gets
more than one version in it. The run's directory is DIR.
"""

from __future__ import annotations

import sys

from stress.cluster.base import Runtime
from stress.cluster.local import LocalRuntime
from stress.cluster.postgres_settings import PostgresSettings
from stress.plan import Options, Plan, check
from stress.run.lifecycle import Run
from stress.run.parts import Parts
from stress.run.settings import cluster_settings
from stress.screen import choose

_INTERVAL = "config:core.min_serialized_dag_update_interval=30"


def on_defaults(plan: Plan) -> Runtime:
    """The local runtime, with a server as PostgreSQL's defaults have it."""
    server = PostgresSettings(deadlock_timeout_ms=1000, durable=True)
    return LocalRuntime(plan.run_id, server, cold_start=plan.cold_start, settings=cluster_settings(plan))


if __name__ == "__main__":
    arms = (f"stock={_INTERVAL},fixes:none", f"fixed={_INTERVAL},fixes:all")
    plan = check(Options(arms=arms, load="45s", budget="14m", out=sys.argv[1], metrics_port="9377"))
    sys.exit(Run(plan, sys.argv, choose(tui=False), Parts(runtime=on_defaults)).execute())
