"""The cluster as processes on this machine: no Docker and no root, only Python (root works too).

    harness -+- watchdog                                 ends the rest if the harness cannot (`guard`)
             +- postgres                                 one server a run, one database a block (`postgres`)
             +- two preloaded parents an arm -+          Airflow, imported once a run (`preload`)
                                              +- api-server, dag-processor, scheduler-1, scheduler-2,
                                                 triggerer-1, triggerer-2
                                                 six processes a block, each with its own session, log file,
                                                 application name and host name (`cluster`)

Every component gets its whole environment from us. Variables of this machine that begin with AIRFLOW are left out, so
that another Airflow on the machine neither changes a result nor is touched. All components of a run share its secrets
(otherwise workers get "Signature verification failed"); each run makes new ones.

A start within seconds
  Starting Airflow six times costs mostly six imports, 2 to 5 s of CPU each. So a parent imports once and forks the
  components (`--cold-start` starts each as an own program instead). Nothing unneeded starts: no example DAGs, one
  api-server worker, no log servers (components share a disk), no health servers. Health is what Airflow itself uses:
  the rows of the `job` table, where the host name tells the components apart (`mounted/airflow_stress_component.py`),
  and the api-server's version endpoint.

Restarts
  A component that ends is started again after 0.5 s, then 1 s, 2 s, up to 10 s if it keeps ending; 60 s of uptime
  reset the delay. Before that, every process left in its session is killed: a scheduler's orphaned workers must not
  run beside those of its successor, because the end of a container would have ended them.

Faults
  Killing or pausing a component affects all of its processes, as it would in a container. All components share one
  network, so none can be cut off or slowed.
"""

from stress.cluster.local.cluster import LocalCluster
from stress.cluster.local.runtime import LocalRuntime, PreparedLocalRuntime

__all__ = ["LocalCluster", "LocalRuntime", "PreparedLocalRuntime"]
