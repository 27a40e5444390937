"""Shared code of the load's users, and the user that belongs to no race. Only the Locust process imports it.

What users do is appended to the shared directory as one JSON line an action, for the harness's history; what the
requests cost is in Locust's own statistics.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent.event import Event
from locust import HttpUser, constant_pacing, events, task
from locust.env import Environment

from stress.load.settings import LoadSettings

SHARED = Path(os.environ["AIRFLOW_STRESS_SHARED"])
_PLANNED = os.environ.get("AIRFLOW_STRESS_LOAD")
SETTINGS = msgspec.json.decode(Path(_PLANNED).read_bytes(), type=LoadSettings) if _PLANNED else LoadSettings()
"""The block's settings, in a file that the harness wrote. Without it (load by hand, from Locust's page) they are the
defaults, and every user takes part."""

_GO = os.environ.get("AIRFLOW_STRESS_LOAD_GO")
GO = Path(_GO) if _GO else None
"""The harness makes this file when the cluster is ready. None: the load begins at once."""
SEED = int(os.environ.get("AIRFLOW_STRESS_SEED", "0"))

CHURN_DAGS = 4
"""How many changing DAGs `dags/deadlock.py` has."""

_REQUEST_TIMEOUT_S = 30.0
_GO_POLL_S = 0.05
_WARM_UP_REQUESTS = 4
_WARM_S = 1.0
_run_numbers = itertools.count()


def act(action: str, count: int = 1) -> None:
    """Append what was done to the record that the harness follows."""
    append("actions", {"t": time.time(), "action": action, "count": count})


def append(family: str, record: Mapping[str, object]) -> None:
    """Append one line to a record that the harness follows."""
    directory = SHARED / "load"
    directory.mkdir(exist_ok=True)
    with (directory / f"{family}.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


def next_period(period_s: float) -> float:
    """Sleep until the next period of the clock, which the DAGs and the hollow workers have, too; its unix time."""
    begin = (time.time() // period_s + 1) * period_s
    until(begin)
    return begin


def until(moment: float) -> None:
    """Sleep until a unix time."""
    gevent.sleep(max(0.0, moment - time.time()))


def new_run_id(kind: str) -> str:
    """An id that no other user of this process makes."""
    return f"{kind}-{next(_run_numbers)}-{time.time():.3f}"


class Start:
    """The start of the load: at once, or, with triggers in it, when both triggerers have answered some of them.

    A triggerer's supervisor builds its in-process Execution API on the first request, which takes seconds: a part of
    its start that only a trigger can cause. Until then the other users wait, and nothing is counted.
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
def _started(environment: Environment, **_: Any) -> None:
    gevent.spawn(
        _await_cluster,
        str(environment.host),
        any(getattr(user, "gives_start", False) for user in environment.user_classes),
    )


def _await_cluster(host: str, start_is_given_by_a_user: bool) -> None:
    while GO is not None and not GO.exists():
        gevent.sleep(_GO_POLL_S)
    if SETTINGS.api_workers > 1:
        _warm_up(host)
    START.cluster_ready.set()
    if not start_is_given_by_a_user:
        START.give()


def _warm_up(host: str) -> None:
    """Ask until no process of the api-server is slow: the first requests of each take seconds.

    Connections are new each time, and many at a time, so that each process is asked.
    """
    paths = ("/auth/token", "/execution/health") * _WARM_UP_REQUESTS * SETTINGS.api_workers
    began = time.monotonic()
    while time.monotonic() - began < SETTINGS.warm_up_s:
        answers = together(lambda path: _asked_s(f"{host}{path}"), [(path,) for path in paths])
        slowest = max(math.inf if took_s is None else took_s for took_s in answers)
        if slowest < _WARM_S:
            return


def _asked_s(url: str) -> float:
    """Seconds until a request on a new connection was answered."""
    began = time.monotonic()
    with urllib.request.urlopen(url, timeout=_REQUEST_TIMEOUT_S) as answer:  # noqa: S310 - our own
        answer.read()
    return time.monotonic() - began


class ApiUser(HttpUser):
    """A user with a token. Every path that holds an id is named by its template, so that statistics stay bounded."""

    abstract = True
    waits = True
    gives_start = False
    """Whether the load begins when this user says so (`START.give`), and not at once."""

    def on_start(self) -> None:
        """Log in: an api-server for which every user is an administrator answers 201 with a token."""
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
        # Not `ok`, which raises without an answer: an api-server that is down must not end a user.
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

    def task_instances(self, dag_id: str, state: str) -> list[tuple[str, str]]:
        """The run and the task of each task instance of a DAG in this state, the first hundred."""
        found = self.call(
            "GET",
            f"/dags/{dag_id}/dagRuns/~/taskInstances",
            f"/dags/{{dag}}/dagRuns/~/taskInstances ({state})",
            params={"state": state, "limit": 100},
        )
        return [(each["dag_run_id"], each["task_id"]) for each in (found or {}).get("task_instances", ())]

    def mark(self, dag_id: str, run_ids: Iterable[str], state: str) -> int:
        """Mark runs, all at the same time, as failed or successful, which ends their deferred tasks; how many were."""

        def patch(run_id: str) -> Any:
            path = f"/dags/{dag_id}/dagRuns/{run_id}"
            name = "/dags/{dag}/dagRuns/{run}"
            return self.change("mark_run", "PATCH", path, name, dag_id, run_id, state=state, json={"state": state})

        return sum(answer is not None for answer in together(patch, [(run_id,) for run_id in run_ids]))

    def change(self, request: str, method: str, path: str, name: str, dag: str, run: str, **facts: Any) -> Any:
        """Make one request that changes what is stored, and record it: checkers compare it with what was stored.

        `facts` are `task` and `state` (`RequestAnswered`) and the request's `json`. Returns the answer's JSON, None if
        it was not a success.
        """
        body = facts.pop("json")
        sent_at = time.time()
        asked = {"sent_at": sent_at, "request": request, "dag": dag, "run": run, "task": "", "state": "", **facts}
        append("requests", {"kind": "request_sent", **asked})
        response = self.client.request(
            method, f"/api/v2{path}", name=f"{method} {name}", timeout=_REQUEST_TIMEOUT_S, json=body
        )
        answer = response.json() if 200 <= response.status_code < 300 and response.content else None
        line = {
            "kind": "request_answered",
            "at": time.time(),
            **asked,
            "code": response.status_code,
            "changed": answer.get("total_entries") if answer is not None else None,
        }
        append("requests", line)
        return answer


def together(call: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Make the calls at the same time; their results, None for one that raised or took too long."""
    calls = [gevent.spawn(call, *each) for each in arguments]
    gevent.joinall(calls, timeout=2 * _REQUEST_TIMEOUT_S)
    return [each.value for each in calls]


class UiReader(ApiUser):
    """The requests of open browser tabs."""

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
