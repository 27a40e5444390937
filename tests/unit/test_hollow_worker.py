"""The hollow worker process against an HTTP server that answers as the test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stress import layout
from stress.judge.costs import STATE_UPDATES

WORKER = layout.MOUNTED / "hollow_worker.py"


class FakeExecutionApi(BaseHTTPRequestHandler):
    """Answers starts with `start` and `context`, state updates with `update`, and keeps the bodies of both."""

    protocol_version = "HTTP/1.1"
    start: ClassVar[int] = 200
    update: ClassVar[int] = 204
    context: ClassVar[dict[str, Any]] = {}
    starts: ClassVar[list[dict[str, Any]]] = []
    updates: ClassVar[list[dict[str, Any]]] = []

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        code, content = self.update, b""
        if self.path.endswith("/run"):
            self.starts.append(body)
            code, content = self.start, json.dumps(self.context).encode()
        else:
            self.updates.append(body)
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def api() -> Iterator[type[FakeExecutionApi]]:
    """A server's answers, which a test may change."""

    class Api(FakeExecutionApi):
        starts: ClassVar[list[dict[str, Any]]] = []
        updates: ClassVar[list[dict[str, Any]]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    Api.address = f"http://127.0.0.1:{server.server_address[1]}/execution"  # type: ignore[attr-defined]
    yield Api
    server.shutdown()
    thread.join()
    server.server_close()


def play(api: type[FakeExecutionApi], shared: Path, *works: dict[str, Any]) -> list[dict[str, Any]]:
    """What the worker process writes to its standard output for these works."""
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_STRESS_EXECUTION_API": api.address,  # type: ignore[attr-defined]
        "AIRFLOW_STRESS_SHARED": str(shared),
        "AIRFLOW_STRESS_COMPONENT": "scheduler-1",
        "AIRFLOW_STRESS_HOLLOW_ATTEMPTS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-S", str(WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for work in works:
            process.stdin.write(json.dumps(work) + "\n")
        process.stdin.flush()
        return [json.loads(process.stdout.readline()) for _ in works]
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def work(number: int, ti: str = "t", attempt: int = 1) -> dict[str, Any]:
    return {"id": str(number), "ti": ti, "try": attempt, "token": "x", "hollow": {"seconds": 0.0}}


def test_each_worker_has_an_identity_of_its_own(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    play(api, tmp_path, *(work(number) for number in range(5)))
    play(api, tmp_path, work(9))
    identities = {(start["hostname"], start["unixname"], start["pid"]) for start in api.starts}
    assert len(identities) == 6


@pytest.mark.parametrize(("code", "ok"), [(204, True), (200, True), (409, False), (500, False)])
def test_a_task_ends_well_if_its_success_is_stored_or_was_already(
    api: type[FakeExecutionApi], tmp_path: Path, code: int, ok: bool
) -> None:
    api.update = code
    assert play(api, tmp_path, work(1)) == [{"id": "1", "ok": ok}]


def test_a_worker_whose_start_is_refused_does_nothing(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    api.start = 409
    assert play(api, tmp_path, work(1)) == [{"id": "1", "ok": False}]
    assert len(api.starts) == 1


def test_a_start_is_recorded_with_its_task_its_try_and_its_worker(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    play(api, tmp_path, work(1, "task", 3))
    (file,) = (tmp_path / "execution_api").iterdir()
    start, success = (json.loads(line) for line in file.read_text().splitlines())
    sent = api.starts[0]
    assert (start["op"], start["ti"], start["try"]) == ("run", "task", 3)
    assert start["worker"] == [sent["hostname"], sent["unixname"], sent["pid"]]
    assert (success["op"], success["reported"]) == ("success", "success")


def planned(number: int, **hollow: Any) -> dict[str, Any]:
    """Work whose reports are recorded."""
    owner = {"dag": "d", "run": "r", "task": "t"}
    return {**work(number), "owner": owner, "hollow": {"recorded": True, **hollow}}


def records(shared: Path, operation: str) -> list[dict[str, Any]]:
    """What the workers recorded of one operation."""
    lines = [line for file in (shared / "execution_api").iterdir() for line in file.read_text().splitlines()]
    return [record for record in map(json.loads, lines) if record["op"] == operation]


def test_a_recorded_report_names_its_task(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    play(api, tmp_path, planned(1))
    (record,) = records(tmp_path, "success")
    assert {key: record[key] for key in ("dag", "run", "task", "try", "next_method", "next_event")} == {
        "dag": "d",
        "run": "r",
        "task": "t",
        "try": 1,
        "next_method": None,
        "next_event": False,
    }


def test_a_report_that_is_not_recorded_names_none(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    play(api, tmp_path, work(1))
    assert "dag" not in records(tmp_path, "success")[0]


def test_a_task_that_is_to_fail_reports_that_and_ends_badly(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    assert play(api, tmp_path, planned(1, end="failed")) == [{"id": "1", "ok": False}]
    assert [update["state"] for update in api.updates] == ["failed"]


def test_a_success_has_the_planned_outlets(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    outlet = {"name": "a", "uri": "stress://a", "type": "Asset"}
    play(api, tmp_path, planned(1, outlets=[outlet]))
    assert [update["task_outlets"] for update in api.updates] == [[outlet]]


def test_tasks_that_end_at_one_second_end_together(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    play(api, tmp_path, *(planned(number, ends_at={"second": 0.3, "period_s": 1.0}) for number in range(4)))
    seconds = [(record["t"] - record["s"]) % 1.0 for record in records(tmp_path, "success")]
    assert all(0.29 <= second <= 0.6 for second in seconds)


def test_a_deferral_has_the_moment_at_which_its_trigger_fires(api: type[FakeExecutionApi], tmp_path: Path) -> None:
    fires_at = {"second": 0.5, "period_s": 2.0, "lead_s": 1.0}
    defer = {"classpath": "c", "kwargs": {}, "method": "m", "fires_at": fires_at, "times_out_within_s": 0.5}
    before = time.time()
    assert play(api, tmp_path, planned(1, defer=defer)) == [{"id": "1", "ok": True}]
    (update,) = api.updates
    moment = update["trigger_kwargs"]["moment"]
    assert 0.5 <= moment % 2.0 <= 0.6
    assert moment >= before + 1.0
    assert moment - 0.5 - time.time() <= update["trigger_timeout"] <= moment - before


@pytest.mark.parametrize(
    ("method", "kwargs", "state", "event"),
    [
        ("execute_complete", {"__data__": {"event": 1}}, "success", True),
        ("__fail__", {"error": "timeout"}, "failed", False),
        ("__fail__", {"event": 1}, "failed", True),
    ],
)
def test_what_a_task_was_resumed_with_is_recorded(
    api: type[FakeExecutionApi], tmp_path: Path, method: str, kwargs: dict[str, Any], state: str, event: bool
) -> None:
    api.context = {"next_method": method, "next_kwargs": kwargs}
    play(api, tmp_path, planned(1, defer={"classpath": "c", "kwargs": {}, "method": "m"}))
    (record,) = records(tmp_path, state)
    assert (record["next_method"], record["next_event"]) == (method, event)


def test_every_state_update_is_one_of_those_whose_durations_are_judged(
    api: type[FakeExecutionApi], tmp_path: Path
) -> None:
    failing, deferring = work(2), work(3)
    failing["hollow"]["end"] = "failed"
    deferring["hollow"]["defer"] = {"classpath": "a.Trigger", "kwargs": {}, "method": "execute_complete"}
    play(api, tmp_path, work(1), failing, deferring)
    [answers] = (tmp_path / "execution_api").iterdir()
    operations = {json.loads(line)["op"] for line in answers.read_text().splitlines()}
    assert operations == {"run", *STATE_UPDATES}
