"""Some of Airflow's database sessions are terminated, as by an idle timeout, a pooler or an administrator."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import psycopg

from stress.cluster.base import Cluster
from stress.cluster.errors import ClusterError
from stress.faults.base import Fault, PlannedFault

# The sessions of Airflow's components in the block's database, by their application names: never ours.
_SESSIONS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = ANY(%s) ORDER BY backend_start, pid
"""
# The condition is repeated, because a server process may have ended meanwhile and its id may be in use again.
_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = ANY(%s) AND pid = ANY(%s)
"""


class Sessions(Fault):
    """A random part of the components' sessions ends, at any point of their work.

    A deadline's callback may be late, never lost and never twice; a task may be late or tried again by Airflow's own
    rules, never stuck.
    """

    name = "sessions"
    summary = "terminate a random part of the database sessions of Airflow's components"
    runtimes = ("local", "compose")
    targets = ("postgres",)

    def numbers(self, random: Random) -> Mapping[str, float]:
        """`choice` is the seed for the choice of sessions, which are known only at the injection."""
        return {"share": round(random.uniform(0.1, 0.6), 2), "choice": random.randrange(10_000)}

    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:
        names = [component.name for component in cluster.components]
        try:
            with psycopg.connect(cluster.dsn("airflow-stress"), autocommit=True, connect_timeout=5) as connection:
                pids = [pid for (pid,) in connection.execute(_SESSIONS, (names,))]
                if pids:
                    wanted = max(1, round(planned.numbers["share"] * len(pids)))
                    # The plan's number decides, not this process's random state.
                    chosen = Random(int(planned.numbers["choice"])).sample(pids, wanted)  # noqa: S311
                    connection.execute(_TERMINATE, (names, chosen))
        except psycopg.Error as error:
            raise ClusterError(f"sessions can't be terminated: {str(error).strip()}") from error
