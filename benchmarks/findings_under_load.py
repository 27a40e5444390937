"""How likely are the races that the schedule search found (FINDINGS.md 13 to 19), without statement breakpoints?

    .venv/bin/python benchmarks/findings_under_load.py [X.Y.Z [SECONDS [ARM]]]

Starts the local cluster (2 schedulers, 2 triggerers, `API_WORKERS` api-server processes, hollow workers), loads each
race with what provokes it, all together, and counts. Nothing is held still: tasks of a run end within 0.1 s of each
other, a user marks a task within 1.2 s of the moment at which its trigger fires, another clears a task within 1.2 s of
the end of its run, triggers fire within 1 s of their time-out, missed deadlines bring more callbacks at once than the
executors have places. So a row says how likely a race is *given* such a coincidence; how often a site has the
coincidence is the site's.

What happened is read from an audit table that triggers of the benchmark's own fill (`findings_dags/audit.sql`), the
server's log, the hollow workers' records of what they were told, and the executors' receipts for callbacks. After the
load the triggerers' supervisors alone are killed, as the kernel does when memory is short, to see whether a runner
outlives its supervisor. Ends everything that it started, also when interrupted.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import requests
from findings_counts import Row, count, show

from stress import events, layout
from stress.arms.fixes import resolve
from stress.arms.releases import check
from stress.arms.spec import parse_arm
from stress.cluster.base import Cluster, ClusterSettings, EventKind
from stress.cluster.local import LocalRuntime
from stress.cluster.supervision import procfs
from stress.components import Role
from stress.interrupt import Interrupt, Interrupted
from stress.observers.postgres_log import PostgresLog

MOUNTED = Path(__file__).with_name("findings_dags")
API_WORKERS = 3
"""Each process has its own order of a set of assets."""
DAGS = 24
"""In `findings_dags/findings_dags.py`."""
PERIOD_S = 4.0
"""Of the load, the same as in `findings_dags/findings_worker.py`."""
SETTLE_S = 25.0
KILL_ROUNDS = 3
RUNNER_GRACE_S = 10.0
"""A runner that lives this long after its supervisor outlives it."""
TIMEOUT_S = 30.0

CONFIG = {
    # Fewer than the load needs at its peaks: callbacks have to wait, as on a site whose runs are late.
    "core.parallelism": "48",
    "core.max_active_tasks_per_dag": "128",
    # 15 s by default: so often that a trigger can fire at the moment of a sweep many times in two minutes.
    "scheduler.trigger_timeout_check_interval": "1",
    # 30 s by default: so that the triggers of a killed triggerer are soon another's.
    "triggerer.triggerer_health_check_threshold": "10",
    "triggerer.capacity": "150",
}
STARTS = (
    (0.2, "fail_fast_mixed", 2),
    (0.4, "fail_fast_both", 2),
    (0.6, "late", 1),
    (1.0, "marked", 1),
    (1.4, "assets_{}", 3),
    (1.6, "one_asset", 2),
    (1.8, "timed_out", 1),
    (2.2, "cleared", 3),
)
"""When in a period how many runs of which DAG are started; the DAGs with two outlets take turns."""

# The DAGs that the cluster can run.
_KNOWN = "SELECT count(DISTINCT dag_id) FROM serialized_dag"
_UNFINISHED = "SELECT count(*) FROM dag_run WHERE state IN ('queued', 'running')"
# Tasks whose trigger fires at the coming moment: triggers are made so long before it.
_DEFERRED = "SELECT run_id, task_id FROM task_instance WHERE dag_id = 'marked' AND state = 'deferred'"
# Runs that end when their last task does.
_ENDING = "SELECT run_id FROM task_instance WHERE dag_id = 'cleared' AND task_id = 'last' AND state = 'running'"
_STATES = "SELECT coalesce(state, 'none'), count(*) FROM task_instance GROUP BY 1 ORDER BY 1"
_CALLBACKS = "SELECT state, count(*) FROM callback GROUP BY 1 ORDER BY 1"
# Triggers that a triggerer has which is alive.
_IDLE = """
SELECT count(*) FROM trigger t JOIN job j ON j.id = t.triggerer_id
WHERE j.state = 'running' AND j.latest_heartbeat > now() - interval '5 s'
"""


class Watched:
    """The cluster, with its database asked and its components watched."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.exits: Counter[str] = Counter()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.cluster.dsn("findings"), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def look(self) -> None:
        """Start again what has ended, and wait a moment."""
        self.exits.update(event.component for event in self.cluster.poll() if event.kind is EventKind.EXITED)
        time.sleep(0.2)

    def wait(self, statement: str, enough: Callable[[int], bool], within_s: float) -> int:
        """Until the statement's number is enough, or for so long; the number."""
        deadline = time.monotonic() + within_s
        while not enough(number := int(self.rows(statement)[0][0])) and time.monotonic() < deadline:
            self.look()
        return number


class Client:
    """Users of the REST API. Notes what they were told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._token = requests.get(f"{url}/auth/token", timeout=TIMEOUT_S).json()["access_token"]
        self._local = threading.local()
        self._numbers = itertools.count()
        self.told: Counter[str] = Counter()

    def call(self, what: str, method: str, path: str, body: object = None) -> None:
        """Make one request; every thread has its own connection."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {self._token}"
        try:
            answer = session.request(method, self._url + path, json=body, timeout=TIMEOUT_S)
            nothing = answer.ok and answer.json().get("total_entries") == 0
            self.told[f"{what}: {answer.status_code}" + (", found nothing" if nothing else "")] += 1
        except requests.RequestException as error:
            self.told[f"{what}: {type(error).__name__}"] += 1

    def start(self, dag: str) -> None:
        """Start a run."""
        number = next(self._numbers)
        # No two runs of a DAG may share a logical date.
        date = datetime.now(UTC) + timedelta(microseconds=number)
        body = {"dag_run_id": f"run-{number}", "logical_date": date.isoformat()}
        self.call("start a run", "POST", f"/api/v2/dags/{dag}/dagRuns", body)

    def mark(self, run: str, task: str) -> None:
        """Mark a task failed."""
        path = f"/api/v2/dags/marked/dagRuns/{run}/taskInstances/{task}"
        self.call("mark", "PATCH", path, {"new_state": "failed"})

    def clear(self, run: str) -> None:
        """Clear the first task of a run."""
        body = {"dry_run": False, "dag_run_id": run, "task_ids": ["first"], "only_failed": False}
        self.call("clear", "POST", "/api/v2/dags/cleared/clearTaskInstances", body)


class Load:
    """Everything that users do, each thing at its second of a period, for a bounded time."""

    def __init__(self, watched: Watched, client: Client) -> None:
        self._watched = watched
        self._client = client
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(64)
        self._random = random.Random(1)  # noqa: S311 - no secret

    def run(self, seconds: float) -> None:
        """As many whole periods as fit."""
        try:
            self._warm_up()
            begin = (time.time() // PERIOD_S + 1) * PERIOD_S
            for number in range(int(seconds / PERIOD_S)):
                start = begin + number * PERIOD_S
                for second, dag, runs in STARTS:
                    for _ in range(runs):
                        self._at(start + second, self._client.start, dag.format(number % 4))
                # Triggers fire at 1.0, their events arrive within about 1 s; runs end at 1.6 and are closed within 1 s.
                self._at(start + 0.9, self._mark, start + 1.0)
                self._at(start + 1.5, self._clear, start + 1.6)
                while time.time() < start + PERIOD_S:
                    self._watched.look()
        finally:
            self._stop.set()
            self._pool.shutdown(cancel_futures=True)

    def _warm_up(self) -> None:
        """A process is slow with its first request of a kind: ask each api-server process, let each triggerer fire."""
        paths = ("/api/v2/dags", "/execution/health") * 16 * API_WORKERS
        for each in [self._pool.submit(self._client.call, "warm up", "GET", path) for path in paths]:
            each.result()
        for _ in range(4):
            self._client.start("timed_out")
        self._watched.wait(_UNFINISHED, lambda left: left == 0, 2 * TIMEOUT_S)

    def _at(self, moment: float, action: Callable[..., None], *arguments: object) -> None:
        def wait() -> None:
            if not self._stop.wait(max(0.0, moment - time.time())):
                action(*arguments)

        self._pool.submit(wait)

    def _mark(self, fired: float) -> None:
        for run, task in self._watched.rows(_DEFERRED):
            self._at(fired + self._random.uniform(0.0, 1.2), self._client.mark, run, task)

    def _clear(self, ended: float) -> None:
        for (run,) in self._watched.rows(_ENDING):
            self._at(ended + self._random.uniform(0.0, 1.2), self._client.clear, run)


def main(version: str = "3.3.2", seconds: str = "120", arm_text: str = "stock") -> None:
    """Measure and print. The arm is one as `stress run` has it, such as `fixed`."""
    arm = parse_arm(arm_text, check(version), resolve)
    settings = ClusterSettings(
        dags_folder=MOUNTED,
        executor="findings_executor.FindingsExecutor",
        config=CONFIG,
        environment={"AIRFLOW_STRESS_HOLLOW_WORKERS": "96", "PYTHONDONTWRITEBYTECODE": "1"},
        pythonpath=(layout.DAGS,),
        fixes_directory=layout.FIXES,
        api_workers=API_WORKERS,
    )
    with tempfile.TemporaryDirectory() as scratch, Interrupt() as interrupt:
        runtime = LocalRuntime()
        try:
            with interrupt.raising():
                cluster = runtime.prepare((arm,), print).open(arm, 0, Path(scratch) / "logs", settings)
                cluster.start()
                measure(Watched(cluster), version, float(seconds))
        finally:
            with interrupt.shielded():
                runtime.close()


def measure(watched: Watched, version: str, seconds: float) -> None:
    """The load, then the kills, then the table."""
    known = watched.wait(_KNOWN, lambda known: known == DAGS, TIMEOUT_S)
    assert known == DAGS, f"the dag-processor brought in {known} of {DAGS} DAGs"
    watched.rows((MOUNTED / "audit.sql").read_text())
    log = PostgresLog(watched.cluster)
    log.start()
    client = Client(watched.cluster.api_url)
    Load(watched, client).run(seconds)
    unfinished = watched.wait(_UNFINISHED, lambda left: left == 0, SETTLE_S)
    deadlocks = [event for event in log.finish() if isinstance(event, events.DeadlockSeen)]
    log.close()
    table = count(watched.rows, watched.cluster.shared, deadlocks, seconds)
    states, callbacks, crashed = dict(watched.rows(_STATES)), dict(watched.rows(_CALLBACKS)), dict(watched.exits)
    client.start("idle")
    show(version, [*table, outlive(watched)])
    print(f"told: {dict(client.told)}")
    print(f"task instances: {states}; callbacks: {callbacks}")
    print(f"runs that have not ended: {unfinished}; components that ended under load: {crashed}")


def outlive(watched: Watched) -> Row:
    """Kill the triggerers' supervisors and nobody else; who of their runners is alive after `RUNNER_GRACE_S`?"""
    began = time.monotonic()
    seen = outlived = 0
    for _ in range(KILL_ROUNDS):
        watched.wait(_IDLE, lambda assigned: assigned >= 200, TIMEOUT_S)
        time.sleep(random.uniform(0.0, 1.0))  # noqa: S311 - anywhere in the runner's rhythm of a second
        processes = procfs.table()
        triggerers = {each.pid for each in watched.cluster.components if each.role is Role.TRIGGERER}
        supervisors = [info for info in processes.values() if info.pid in triggerers]
        runners = [info for info in processes.values() if info.parent in triggerers and not info.is_zombie]
        for supervisor in supervisors:
            procfs.kill(supervisor, signal.SIGKILL)
        killed, alive = time.monotonic(), runners
        while alive and time.monotonic() - killed < RUNNER_GRACE_S:
            time.sleep(0.1)
            alive = [info for info in alive if procfs.is_same(info.pid, info.started)]
        seen, outlived = seen + len(runners), outlived + len(alive)
        since = time.time()
        # The cluster starts both again, and ends what they have left behind.
        while watched.cluster.unhealthy(since) and time.time() - since < TIMEOUT_S:
            watched.look()
    text = f"alive {RUNNER_GRACE_S:.0f} s after its supervisor was killed"
    return Row("runner outlives its supervisor", seen, outlived, time.monotonic() - began, text)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Interrupted as interrupted:
        raise SystemExit(128 + interrupted.signal_number) from None
