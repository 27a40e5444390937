"""The database server is restarted, as by an update or a failover that keeps the address."""

from __future__ import annotations

from stress.cluster.base import Cluster
from stress.faults.base import Fault, PlannedFault


class PostgresRestart(Fault):
    """A fast shutdown, which aborts every session, and a start right after that.

    What was committed stays. Components may end because of it and are then started again. A deadline's callback may be
    late, never lost and never twice; a task may be late or tried again by Airflow's own rules, never stuck.
    """

    name = "postgres"
    summary = "restart the database server; every session is aborted"
    runtimes = ("local", "compose")
    targets = ("postgres",)

    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:  # noqa: ARG002 - there is one server
        cluster.restart_postgres()
