"""The load on the public REST API, as Locust runs it: `locust -f stress/load/locustfile.py --headless`.

One user class a behaviour; which of them take part is in the load settings (`AIRFLOW_STRESS_LOAD`, a file). What they
did is appended to the shared directory as one JSON line an action, for the harness's history; what the requests cost is
in Locust's own statistics.

Locust replaces the standard library's sockets and sleeps with cooperative ones in its own process, so nothing of this
is ever imported by the harness.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import gevent
import msgspec
from gevent.event import Event
from locust import HttpUser, User, constant, constant_pacing, events, task
from locust.env import Environment

from stress.load.settings import LoadSettings

SHARED = Path(os.environ["AIRFLOW_STRESS_SHARED"])
ALL_USERS = ["DagEditor", "RunStarter", "DeadlineMisser", "QueryCanceller", "UiReader", "Clearer"]
PLANNED = os.environ.get("AIRFLOW_STRESS_LOAD")
"""Where the harness wrote the block's settings. Without it (load by hand, from Locust's page) everybody takes part."""
SETTINGS = (
    msgspec.json.decode(Path(PLANNED).read_bytes(), type=LoadSettings) if PLANNED else LoadSettings(users=ALL_USERS)
)
_GO = os.environ.get("AIRFLOW_STRESS_LOAD_GO")
GO = Path(_GO) if _GO else None
"""The harness makes this file when the cluster is ready. None: the load begins at once."""
SEED = int(os.environ.get("AIRFLOW_STRESS_SEED", "0"))

ENDLESS = "bigquery_endless"
DEADLINES = "deadline_queue"
CHURN_DAGS = 4
_REQUEST_TIMEOUT_S = 30.0
_GO_POLL_S = 0.05
_run_numbers = itertools.count()


def act(action: str, count: int = 1) -> None:
    """Append what was done to the record that the harness follows."""
    directory = SHARED / "load"
    directory.mkdir(exist_ok=True)
    line = json.dumps({"t": time.time(), "action": action, "count": count}) + "\n"
    with (directory / "actions.jsonl").open("a") as file:
        file.write(line)


def new_run_id(kind: str) -> str:
    """An id that no other user of this process makes."""
    return f"{kind}-{next(_run_numbers)}-{time.time():.3f}"


class Start:
    """When the load counts from: at once, or, with triggers in it, when both triggerers have answered some of them.

    A triggerer's supervisor builds its in-process Execution API on the first request, which takes seconds: a part of
    its start that only a trigger can set off. Until then the other users wait, and nothing is counted.
    """

    def __init__(self) -> None:
        self.cluster_ready = Event()
        self._event = Event()
        self._given_at = 0.0

    def give(self) -> None:
        """The load begins now."""
        if not self._event.is_set():
            act("load_started")
            self._given_at = time.monotonic()
            self._event.set()

    def seconds(self) -> float:
        """Seconds of load so far."""
        return time.monotonic() - self._given_at

    def wait(self) -> None:
        """Until the load begins."""
        self._event.wait()


START = Start()


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _started(environment: Environment, **_: Any) -> None:  # noqa: ARG001 - Locust passes it by this name
    gevent.spawn(_await_cluster)


def _await_cluster() -> None:
    while GO is not None and not GO.exists():
        gevent.sleep(_GO_POLL_S)
    START.cluster_ready.set()
    if "QueryCanceller" not in SETTINGS.users:
        START.give()


class ApiUser(HttpUser):
    """A user with a token. Every path that holds an id is named by its template, so that statistics stay bounded."""

    abstract = True
    waits = True

    def on_start(self) -> None:
        """Log in: a closed lab with everyone an admin answers 201 with a token."""
        START.cluster_ready.wait()
        if self.waits:
            START.wait()
        self.random = random.Random(f"{SEED}/{type(self).__name__}")  # noqa: S311 - a seed must give the same again
        with self.client.get("/auth/token", name="GET /auth/token", catch_response=True) as response:
            if response.status_code not in (200, 201):
                response.failure(f"no token: {response.status_code}")
                raise RuntimeError(f"the api-server gave no token: {response.status_code} {response.text[:200]}")
            self.client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def call(self, method: str, path: str, name: str, **arguments: Any) -> Any:
        """The answer's JSON (or None if it was not a success), counted under `METHOD name`."""
        response = self.client.request(
            method, f"/api/v2{path}", name=f"{method} {name}", timeout=_REQUEST_TIMEOUT_S, **arguments
        )
        # Not `ok`, which raises where there was no answer: an api-server that is down must not end a user.
        return response.json() if 200 <= response.status_code < 300 and response.content else None

    def trigger(self, dag_id: str, kind: str, logical_date: datetime | None = None) -> str | None:
        """Trigger a run and return its id."""
        run = self.call(
            "POST",
            f"/dags/{dag_id}/dagRuns",
            "/dags/{dag}/dagRuns",
            json={
                "dag_run_id": new_run_id(kind),
                "logical_date": logical_date.isoformat() if logical_date is not None else None,
            },
        )
        return run["dag_run_id"] if run else None

    def mark(self, dag_id: str, run_ids: Iterable[str], state: str) -> int:
        """Mark runs, all at the same time, as failed or successful, which ends their deferred tasks; how many were."""

        def patch(run_id: str) -> Any:
            path = f"/dags/{dag_id}/dagRuns/{run_id}"
            return self.call("PATCH", path, "/dags/{dag}/dagRuns/{run}", json={"state": state})

        return sum(answer is not None for answer in together(patch, [(run_id,) for run_id in run_ids]))


def together(call: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Make the calls at the same time; their results, None for one that raised or took too long."""
    calls = [gevent.spawn(call, *each) for each in arguments]
    gevent.joinall(calls, timeout=2 * _REQUEST_TIMEOUT_S)
    return [each.value for each in calls]


class DagEditor(User):
    """Somebody who deploys all the time: moves the changing DAGs to their next structure."""

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.churn_period_s)
    _generations = itertools.count(1)

    def on_start(self) -> None:
        """Nobody deploys before the load begins."""
        START.wait()

    @task
    def deploy(self) -> None:
        """Write the next generation at once: a reader sees the old number or the new one."""
        generation = next(self._generations)
        scratch = SHARED / "churn_generation.new"
        scratch.write_text(str(generation))
        scratch.replace(SHARED / "churn_generation")
        act("dag_changed")


class RunStarter(ApiUser):
    """Starts runs of the changing DAGs at a steady pace, whatever the cluster makes of them.

    An open loop: if runs were started as others end, an arm without deadlocks would get more tasks, and the arms'
    counts would be of different loads.
    """

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.churn_run_period_s)

    def on_start(self) -> None:
        super().on_start()
        self._dags = itertools.cycle(range(CHURN_DAGS))
        self._start(SETTINGS.churn_first_runs)

    @task
    def start_one(self) -> None:
        """The next run."""
        self._start(1)

    def _start(self, runs: int) -> None:
        started = together(
            lambda dag: self.trigger(f"churn_{dag}", "churn"), [(next(self._dags),) for _ in range(runs)]
        )
        act("churn_runs_started", sum(run is not None for run in started))


class DeadlineMisser(ApiUser):
    """Triggers more runs at once than may be active, so that the others miss their deadline in the queue."""

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.deadline_batch_period_s)

    def on_start(self) -> None:
        super().on_start()
        self._batches = 0
        gevent.sleep(max(0.0, SETTINGS.deadline_first_s - START.seconds()))
        # The task of the one active run must never run.
        self.call("POST", "/pools", "/pools", json={"name": "no_slots", "slots": 0})

    @task
    def trigger_batch(self) -> None:
        """One batch, until all batches are done; then nothing."""
        if self._batches < SETTINGS.deadline_batches:
            self._batches += 1
            # No two runs of a DAG may share a logical date; a microsecond between them is none to a scheduler.
            moment = datetime.now(UTC)
            dates = [(moment + timedelta(microseconds=run),) for run in range(SETTINGS.deadline_batch_runs)]
            runs = together(lambda date: self.trigger(DEADLINES, "deadline", date), dates)
            started = sum(run is not None for run in runs)
            act("deadline_runs_started", started)


class QueryCanceller(ApiUser):
    """Keeps runs whose triggers poll in both triggerers, and ends all at once: as failed and as successful in turn.

    The number of times is bounded, so that an arm whose triggerers survive gets no more of them than one whose
    triggerers have to start again.
    """

    fixed_count = 1
    waits = False
    wait_time = constant(0.2)
    _STATES: ClassVar = itertools.cycle(["failed", "success"])

    def on_start(self) -> None:
        super().on_start()
        self._runs: list[str] = []
        self._polling_since: float | None = None
        self._started_at = 0.0
        self._bursts = 0

    @task
    def cycle(self) -> None:
        """Start runs; when triggers have been polling in every triggerer for a while, end all of them together."""
        if self._bursts >= SETTINGS.cancel_bursts:
            return
        if not self._runs:
            started = together(lambda: self.trigger(ENDLESS, "endless"), [()] * SETTINGS.cancel_runs)
            self._runs = [run for run in started if run is not None]
            act("endless_runs_started", len(self._runs))
            self._started_at = time.monotonic()
        elif polling_triggerers() < 2 and not self._patience_is_over():
            self._polling_since = None
        elif self._polling_since is None:
            self._polling_since = time.monotonic()
            START.give()
        elif time.monotonic() - self._polling_since >= SETTINGS.cancel_settle_s and START.seconds() >= self._due_s():
            runs, self._runs = self._runs, []
            act("runs_ended", self.mark(ENDLESS, runs, next(self._STATES)))
            self._polling_since = None
            self._bursts += 1

    def _patience_is_over(self) -> bool:
        """Runners that hang answer no trigger, ever: the load must begin all the same, and show it."""
        return time.monotonic() - self._started_at >= SETTINGS.warm_up_s

    def _due_s(self) -> float:
        """When the next time may be, in seconds of load."""
        return SETTINGS.cancel_first_s + self._bursts * SETTINGS.cancel_period_s


def polling_triggerers(within_s: float = 2.0, at_least: int = 4) -> int:
    """How many triggerers told, a moment ago, that so many of their triggers poll and that polls were answered."""
    polling = set()
    now = time.time()
    for path in (SHARED / "receipts").glob("progress-*.jsonl"):
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 400))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
        try:
            receipt = json.loads(last)
        except ValueError:
            continue
        if now - receipt["t"] <= within_s and receipt["active"] >= at_least and receipt["polls"] >= at_least:
            polling.add(receipt["component"])
    return len(polling)


class UiReader(ApiUser):
    """What open browser tabs ask for."""

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.ui_period_s)

    @task(3)
    def list_runs(self) -> None:
        self.call("GET", "/dags/~/dagRuns", "/dags/~/dagRuns", params={"limit": 25, "order_by": "-run_after"})

    @task(2)
    def list_dags(self) -> None:
        self.call("GET", "/dags", "/dags", params={"limit": 25})

    @task(2)
    def list_tasks(self) -> None:
        self.call(
            "GET",
            f"/dags/churn_{self.random.randrange(CHURN_DAGS)}/dagRuns/~/taskInstances",
            "/dags/{dag}/dagRuns/~/taskInstances",
            params={"limit": 25},
        )

    @task(1)
    def health(self) -> None:
        self.call("GET", "/monitor/health", "/monitor/health")


class Clearer(ApiUser):
    """Somebody who clears a finished task to run it again."""

    fixed_count = 1
    wait_time = constant_pacing(SETTINGS.clear_period_s)

    @task
    def clear(self) -> None:
        """Clear one task that succeeded in a run of a changing DAG that is still in flight."""
        dag_id = f"churn_{self.random.randrange(CHURN_DAGS)}"
        found = self.call(
            "GET",
            f"/dags/{dag_id}/dagRuns/~/taskInstances",
            "/dags/{dag}/dagRuns/~/taskInstances (succeeded)",
            params={"state": "success", "limit": 20, "order_by": "-start_date"},
        )
        if not found or not found["task_instances"]:
            return
        chosen = self.random.choice(found["task_instances"])
        body = {
            "dry_run": False, "dag_run_id": chosen["dag_run_id"], "task_ids": [chosen["task_id"]],
            # By default only failed tasks are cleared, and an answer of 200 says of a success that 0 were.
            "only_failed": False,
        }  # fmt: skip
        cleared = self.call("POST", f"/dags/{dag_id}/clearTaskInstances", "/dags/{dag}/clearTaskInstances", json=body)
        if cleared:
            act("tasks_cleared", cleared["total_entries"])


def _take_part() -> None:
    """Locust takes every concrete user class of this file: make those that do not take part abstract."""
    for user in (DagEditor, RunStarter, DeadlineMisser, QueryCanceller, UiReader, Clearer):
        user.abstract = user.__name__ not in SETTINGS.users


_take_part()
