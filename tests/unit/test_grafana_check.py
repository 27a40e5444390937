"""`tools/grafana_check.py` on a server that answers as Grafana's API does, with the real dashboards.

The tests have no real Grafana: the nightly workflow asks one. These tests show that the check asks
for everything, and that no wrong answer passes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from stress.layout import ROOT

SOURCE = "airflow-stress-prometheus"
FILES = [json.loads(file.read_text()) for file in sorted((ROOT / "dashboards" / "grafana").glob("*.json"))]
PANELS = [(panel, target) for file in FILES for panel in file["panels"] for target in panel.get("targets", [])]
RATES = ("$__rate_interval", "$__range")

Answer = tuple[int, Any]
Change = Callable[[str, Any, Any], Any]
"""Of the path, what was asked and the right answer, makes the answer."""


def frame(*values: float | None) -> dict[str, Any]:
    fields = [{"name": "Time", "type": "time"}, {"name": "Value", "type": "number", "labels": {"arm": "stock"}}]
    return {"schema": {"refId": "A", "fields": fields}, "data": {"values": [[5000 * n for n in range(9)], [*values]]}}


RIGHT: dict[str, Any] = {
    "/api/health": {"database": "ok", "version": "12.2.0"},
    "/api/frontend/settings": {
        "defaultDatasource": "Prometheus",
        "datasources": {"-- Grafana --": {"uid": "grafana"}, "Prometheus": {"uid": SOURCE, "type": "prometheus"}},
    },
    f"/api/datasources/uid/{SOURCE}/health": {"status": "OK", "message": "Successfully queried the Prometheus API."},
    "/api/search": [{"uid": file["uid"], "title": file["title"]} for file in FILES],
    **{
        f"/api/dashboards/uid/{file['uid']}": {"dashboard": {**file, "id": 3}, "meta": {"provisioned": True}}
        for file in FILES
    },
    **{
        f"/api/datasources/uid/{SOURCE}/resources/api/v1/label/{label}/values": {"status": "success", "data": ["one"]}
        for label in ("job", "instance", "scenario", "arm")
    },
}


def right(path: str, asked: Any) -> Any:
    """What a Grafana with a run in its Prometheus answers."""
    if path == "/api/ds/query":
        refs = [query["refId"] for query in asked["queries"]]
        return {"results": {ref: {"status": 200, "frames": [frame(None, 1.0)]} for ref in refs}}
    return RIGHT[path]


@contextmanager
def grafana(change: Change = lambda _path, _asked, answer: answer) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A server; `change` makes it wrong. Yields its address and what it was asked."""
    requests: list[tuple[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self._answer(url.path, parse_qs(url.query))

        def do_POST(self) -> None:
            self._answer(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, path: str, asked: Any) -> None:
            requests.append((path, asked))
            answer = change(path, asked, right(path, asked))
            code, said = answer if isinstance(answer, tuple) else (200, answer)
            body = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Print no log: the output is the test's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def check(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-m", "tools.grafana_check", *words],  # -S: it needs no installed package
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def queries(requests: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [query for path, asked in requests if path == "/api/ds/query" for query in asked["queries"]]


def test_all_is_well() -> None:
    with grafana() as (url, _):
        done = check("--faults", url)
    assert done.returncode == 0, done.stdout
    assert "WRONG" not in done.stdout
    assert re.search(r"^(\d+) of \1 answers are as they should be$", done.stdout, re.MULTILINE)


def test_every_panel_and_every_annotation_is_asked_for() -> None:
    with grafana() as (url, requests):
        check(url)
    asked = [query["expr"] for query in queries(requests)]
    annotations = [annotation["expr"] for file in FILES for annotation in file["annotations"]["list"]]
    assert len(asked) == len(PANELS) + len(annotations)
    wanted = sorted(re.sub(r"\$(job|instance|scenario|arm)\b", ".+", e) for e in annotations)
    wanted += sorted(re.sub(r"\$(job|instance|scenario|arm)\b", ".+", target["expr"]) for _, target in PANELS)
    assert sorted(asked) == sorted(wanted)


def test_every_variable_is_asked_for_with_the_selector_of_its_query() -> None:
    with grafana() as (url, requests):
        check(url)
    asked = [path.split("/")[-2] for path, _ in requests if "/resources/" in path]
    variables = [v["name"] for file in FILES for v in file["templating"]["list"] if v["type"] == "query"]
    assert asked == variables
    selectors = [asked["match[]"][0] for path, asked in requests if "/resources/" in path]
    assert all(not re.search(r"\$", selector) for selector in selectors)


def test_queries_are_as_a_browser_sends_them() -> None:
    with grafana() as (url, requests):
        check("--minutes", "10", url)
    for query in queries(requests):
        left = query["expr"]
        for own in RATES:
            left = left.replace(own, "")
        assert "$" not in left
        assert query["datasource"] == {"type": "prometheus", "uid": SOURCE}
        assert query["range"] != query["instant"]
    [window] = {int(asked["to"]) - int(asked["from"]) for path, asked in requests if path == "/api/ds/query"}
    assert window == 600_000


def of_query(expression: str, answer: Any) -> Change:
    """Another answer to the queries that hold an expression."""

    def change(path: str, asked: Any, kept: Any) -> Any:
        return answer if path == "/api/ds/query" and expression in asked["queries"][0]["expr"] else kept

    return change


def at(place: str, answer: Any) -> Change:
    """Another answer at a path."""
    return lambda path, _asked, kept: answer if path.startswith(place) else kept


def result(**said: Any) -> dict[str, Any]:
    return {"results": {"A": said}}


WARNED = frame(1.0)
WARNED["schema"]["meta"] = {"notices": [{"severity": "warning", "text": "metric might not be a counter"}]}
SESSIONS = "airflow_stress_database_sessions"
OTHER = [{**FILES[0], "panels": FILES[0]["panels"][:-1]}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(at("/api/frontend", {"datasources": {}}), "WRONG data source: there is none", id="no source"),
        pytest.param(
            at("/api/frontend", {"datasources": {"P": {"uid": SOURCE, "type": "prometheus"}}}),
            "WRONG data source: is not the default",
            id="another default",
        ),
        pytest.param(
            at(f"/api/datasources/uid/{SOURCE}/health", (400, {"status": "ERROR", "message": "connection refused"})),
            "connection refused",
            id="a source that does not answer",
        ),
        pytest.param(at("/api/search", []), "is not there", id="no dashboards"),
        pytest.param(at("/api/search", (401, {"message": "Unauthorized"})), "is not there", id="no visitors"),
        pytest.param(at("/api/dashboards", (404, {"message": "Not found"})), "Not found", id="no dashboard"),
        pytest.param(
            at(f"/api/dashboards/uid/{FILES[0]['uid']}", {"dashboard": OTHER[0]}),
            "its queries are not those of the file",
            id="another dashboard",
        ),
        pytest.param(of_query(SESSIONS, result(frames=[])), "Sessions A: shows nothing", id="no frame"),
        pytest.param(of_query(SESSIONS, result(frames=[frame()])), "Sessions A: shows nothing", id="empty frame"),
        pytest.param(of_query(SESSIONS, result(frames=[frame(None)])), "Sessions A: shows nothing", id="no number"),
        pytest.param(of_query(SESSIONS, result(frames=[WARNED])), "might not be a counter", id="a warning"),
        pytest.param(of_query(SESSIONS, {"results": {}}), "Sessions A: shows nothing", id="no answer"),
        pytest.param(
            of_query(SESSIONS, (400, result(error="parse error", status=400))), "Sessions A: 400 parse error", id="400"
        ),
        pytest.param(
            of_query(SESSIONS, result(error="timeout", status=502)), "Sessions A: 200 timeout", id="an error inside"
        ),
        pytest.param(
            at(f"/api/datasources/uid/{SOURCE}/resources", {"status": "success", "data": []}),
            "variable arm: has no values",
            id="an empty variable",
        ),
        pytest.param(
            of_query("faults_injected", (500, {"message": "boom"})), "annotation Faults injected: 500", id="annotation"
        ),
    ],
)
def test_a_wrong_answer_is_reported(change: Change, message: str) -> None:
    with grafana(change) as (url, _):
        done = check(url)
    assert done.returncode == 1
    assert message in done.stdout


def test_a_good_run_has_no_alerts() -> None:
    with grafana(of_query("ALERTS", result(frames=[]))) as (url, _):
        assert check(url).returncode == 0


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--faults",), 1)])
def test_only_a_run_with_faults_must_have_marks(words: tuple[str, ...], code: int) -> None:
    with grafana(of_query("airflow_stress_fault", {"results": {"Anno": {"frames": []}}})) as (url, _):
        done = check(*words, url)
    assert done.returncode == code
    assert ("marks of faults: there are none" in done.stdout) == bool(code)


def test_it_waits_until_grafana_is_healthy() -> None:
    left = [3]

    def change(path: str, _asked: Any, kept: Any) -> Any:
        if path != "/api/health" or not left[0]:
            return kept
        left[0] -= 1
        return 503, {"database": "failing"}

    with grafana(change) as (url, _):
        assert check(url).returncode == 0
    assert left == [0]


def test_a_grafana_that_never_answers_is_reported() -> None:
    with grafana(at("/api/health", (503, {"database": "failing"}))) as (url, _):
        done = check("--wait", "0.5", url)
    assert done.returncode == 3
    assert "is not healthy after 0.5 s: 503" in done.stdout
    unreachable = check("--wait", "0", url)
    assert unreachable.returncode == 3
    assert "ConnectionRefusedError" in unreachable.stdout


@pytest.mark.parametrize("words", [(), ("grafana",), ("http://x:99999",), ("--minutes", "0", "http://127.0.0.1:1")])
def test_bad_options(words: tuple[str, ...]) -> None:
    done = check(*words)
    assert done.returncode == 64
    assert done.stdout.startswith("grafana-check: ")
