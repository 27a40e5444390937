"""Does a trigger runner outlive its supervisor (FINDINGS.md 13) in real processes?

    .venv/bin/python benchmarks/orphaned_runner.py [X.Y.Z [ARM]]

Starts the local cluster with triggers that poll, as the scenario `trigger_cancel` has them, and kills the triggerers'
supervisors alone, as the kernel does when memory is short. Prints how many runners are alive `RUNNER_GRACE_S` later.
Ends everything that it started, also when interrupted.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import requests

from stress.arms.fixes import resolve
from stress.arms.releases import check
from stress.arms.spec import parse_arm
from stress.cluster.base import Cluster, ClusterSettings
from stress.cluster.local import LocalRuntime
from stress.cluster.supervision import procfs
from stress.components import Role
from stress.interrupt import Interrupt, Interrupted
from stress.layout import DAGS, FIXES, HOLLOW_EXECUTOR
from stress.races.out_of_order_frame.scenario import ENDLESS

RUNS = 8
TRIGGERS = 5 * RUNS
KILL_ROUNDS = 3
RUNNER_GRACE_S = 10.0
"""A runner that lives this long after its supervisor outlives it."""
TIMEOUT_S = 60.0

# Triggers that a triggerer has which is alive.
_ASSIGNED = """
SELECT count(*) FROM trigger t JOIN job j ON j.id = t.triggerer_id
WHERE j.state = 'running' AND j.latest_heartbeat > now() - interval '5 s'
"""
_KNOWN = f"SELECT count(*) FROM serialized_dag WHERE dag_id = '{ENDLESS}'"  # noqa: S608 - a constant


def main(version: str = "3.3.2", arm_text: str = "stock") -> None:
    """Measure and print. The arm is one as `stress run` has it, such as `fixed`."""
    arm = parse_arm(arm_text, check(version), resolve)
    settings = ClusterSettings(
        dags_folder=DAGS,
        executor=HOLLOW_EXECUTOR,
        # 30 s and 5 s by default: so that the triggers of a killed triggerer are soon assigned to another one.
        config={"triggerer.triggerer_health_check_threshold": "10", "triggerer.job_heartbeat_sec": "1"},
        environment={"AIRFLOW_STRESS_HOLLOW_WORKERS": "12", "PYTHONDONTWRITEBYTECODE": "1"},
        fixes_directory=FIXES,
    )
    with tempfile.TemporaryDirectory() as scratch, Interrupt() as interrupt:
        runtime = LocalRuntime()
        try:
            with interrupt.raising():
                prepared = runtime.prepare((arm,), print)
                cluster = prepared.open(arm, 0, Path(scratch) / "logs", settings)
                cluster.start()
                _await(cluster, _KNOWN, lambda known: known == 1)
                _start_runs(cluster.api_url)
                seen, outlived = outlive(cluster)
                print(f"{version}, {arm.name}: {outlived} of {seen} runners outlived their supervisor")
        finally:
            with interrupt.shielded():
                runtime.close()


def outlive(cluster: Cluster) -> tuple[int, int]:
    """How many runners there were when their supervisors were killed, and how many of them outlived that."""
    seen = outlived = 0
    for _ in range(KILL_ROUNDS):
        _await(cluster, _ASSIGNED, lambda assigned: assigned >= TRIGGERS)
        time.sleep(random.uniform(0.0, 1.0))  # noqa: S311 - anywhere in the runner's rhythm of a second
        processes = procfs.table()
        triggerers = {each.pid for each in cluster.components if each.role is Role.TRIGGERER}
        runners = [info for info in processes.values() if info.parent in triggerers and not info.is_zombie]
        for supervisor in (info for info in processes.values() if info.pid in triggerers):
            procfs.kill(supervisor, signal.SIGKILL)
        killed, alive = time.monotonic(), runners
        while alive and time.monotonic() - killed < RUNNER_GRACE_S:
            time.sleep(0.1)
            alive = [info for info in alive if procfs.is_same(info.pid, info.started)]
        seen, outlived = seen + len(runners), outlived + len(alive)
        since = time.time()
        # The cluster starts both again, and ends what they have left behind.
        while cluster.unhealthy(since) and time.time() - since < TIMEOUT_S:
            cluster.poll()
            time.sleep(0.2)
    return seen, outlived


def _start_runs(url: str) -> None:
    token = requests.get(f"{url}/auth/token", timeout=TIMEOUT_S).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    for number in range(RUNS):
        body = {"dag_run_id": f"run-{number}", "logical_date": None}
        path = f"{url}/api/v2/dags/{ENDLESS}/dagRuns"
        requests.post(path, json=body, headers=headers, timeout=TIMEOUT_S).raise_for_status()


def _await(cluster: Cluster, statement: str, enough: Callable[[int], bool]) -> None:
    """Until the statement's number is enough; a time that is too long raises."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        with psycopg.connect(cluster.dsn("airflow-stress"), autocommit=True, connect_timeout=10) as connection:
            row = connection.execute(statement.encode()).fetchone()
        if row is not None and enough(int(row[0])):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{row} after {TIMEOUT_S:.0f} s, of: {statement}")
        cluster.poll()
        time.sleep(0.2)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Interrupted as interrupted:
        raise SystemExit(128 + interrupted.signal_number) from None
