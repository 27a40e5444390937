"""Ask a running Grafana for everything that its dashboards need, by its HTTP API. An error or an empty answer is wrong.

    python3 -m tools.grafana_check [--faults] [--minutes N] [--wait SECONDS] URL

Call it after a run of the last N minutes, while the services `prometheus` and `grafana` are up. It sends the requests
of a browser that is not logged in: health, the data source, each dashboard, each panel's query, each variable, each
annotation. With --faults, the run had faults, and each dashboard must mark them. It uses the standard library alone.

Exit codes: 0 every answer is right; 1 some are wrong, a line each; 3 no Grafana answers; 64 bad options.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from stress.exits import EXIT_FAILED
from stress.layout import ROOT
from stress.words import Parser

DASHBOARDS = ROOT / "dashboards" / "grafana"
SOURCE_UID = "airflow-stress-prometheus"
SOURCE_TYPE = "prometheus"

MAY_BE_EMPTY = frozenset({"Alerts"})
"""A good run has no alerts."""

EXIT_WRONG = 1

STEP_MS = 5000
"""The interval of the data source."""
POINTS = 1500
TIMEOUT_S = 60

# Grafana's back end replaces its own variables; the browser replaces all others.
_OWN = r"__(?:rate_interval|interval|range)(?:_m?s)?\b"
_VARIABLE = re.compile(rf"\$(?!{_OWN})(?:\{{(\w+)\}}|(\w+))")
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), *(?P<label>\w+)\)")

Json = dict[str, Any]


class Unreachable(Exception):  # noqa: N818 - it says what happened
    """No answer, or one that is not JSON."""


class Grafana:
    """The part of Grafana's HTTP API that needs no password."""

    def __init__(self, url: SplitResult) -> None:
        self._host, self._port, self._path = url.hostname or "", url.port or 80, url.path.rstrip("/")

    def ask(self, path: str, parameters: Mapping[str, str] | None = None, body: Json | None = None) -> tuple[int, Any]:
        """Send a request; return the status code and the answer. Raises Unreachable."""
        target = self._path + path + ("?" + urlencode(parameters) if parameters else "")
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            if body is None:
                connection.request("GET", target)
            else:
                connection.request("POST", target, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{path}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()


class Check:
    """All requests, and which answers were wrong."""

    def __init__(self, grafana: Grafana, minutes: float, *, faults: bool) -> None:
        self._grafana = grafana
        self._end_ms = int(time.time() * 1000)
        self._begin_ms = self._end_ms - int(minutes * 60_000)
        self._faults = faults
        self.asked = 0
        self.wrong: list[str] = []

    def everything(self) -> None:
        """Send every request, each after those it depends on."""
        self._source()
        files = [json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json"))]
        code, found = self._grafana.ask("/api/search", {"type": "dash-db"})
        uids = {item["uid"] for item in found} if code == 200 else set()
        for file in files:
            self._said(f"dashboard {file['title']}", None if file["uid"] in uids else f"is not there (found: {uids})")
            if file["uid"] in uids:
                self._dashboard(file)

    def _said(self, what: str, wrong: str | None) -> None:
        self.asked += 1
        print(f"ok    {what}" if wrong is None else f"WRONG {what}: {wrong}", flush=True)
        if wrong is not None:
            self.wrong.append(f"{what}: {wrong}")

    def _source(self) -> None:
        code, settings = self._grafana.ask("/api/frontend/settings")
        sources = settings.get("datasources", {}) if code == 200 else {}
        name = next((name for name, source in sources.items() if source.get("uid") == SOURCE_UID), None)
        wrong = None
        if name is None:
            wrong = f"there is none with uid {SOURCE_UID} (found: {sorted(sources)})"
        elif sources[name].get("type") != SOURCE_TYPE or settings.get("defaultDatasource") != name:
            wrong = "is not the default, or no Prometheus"
        self._said("data source", wrong)
        code, health = self._grafana.ask(f"/api/datasources/uid/{SOURCE_UID}/health")
        self._said("data source's health", None if code == 200 and health.get("status") == "OK" else f"{code} {health}")

    def _dashboard(self, file: Json) -> None:
        code, answer = self._grafana.ask(f"/api/dashboards/uid/{file['uid']}")
        title = file["title"]
        if code != 200:
            self._said(title, f"{code} {answer}")
            return
        dashboard: Json = answer["dashboard"]
        same = _queries(dashboard) == _queries(file)
        self._said(f"{title}: provisioned", None if same else "its queries are not those of the file")
        values = {variable["name"]: _all_of(variable) for variable in dashboard["templating"]["list"]}
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                self._variable(title, variable, values)
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                what = f"{title}: {panel['title']} {target['refId']}"
                self._said(what, self._query(target, values, may_be_empty=panel["title"] in MAY_BE_EMPTY))
        self._annotations(title, dashboard["annotations"]["list"], values)

    def _variable(self, title: str, variable: Json, values: Mapping[str, str]) -> None:
        query = variable["query"]
        text = query["query"] if isinstance(query, dict) else query
        match = _LABEL_VALUES.fullmatch(text)
        what = f"{title}: variable {variable['name']}"
        if match is None:
            self._said(what, f"{text} is not label_values(selector, label)")
            return
        parameters = {
            "match[]": _substituted(match["selector"], values),
            "start": str(self._begin_ms // 1000),
            "end": str(self._end_ms // 1000),
        }
        code, answer = self._grafana.ask(
            f"/api/datasources/uid/{SOURCE_UID}/resources/api/v1/label/{match['label']}/values", parameters
        )
        fine = code == 200 and answer.get("status") == "success" and answer.get("data")
        self._said(what, None if fine else f"has no values: {code} {answer}")

    def _annotations(self, title: str, annotations: Sequence[Json], values: Mapping[str, str]) -> None:
        marks = 0
        for annotation in annotations:
            if "expr" not in annotation:
                continue  # Grafana's own, for marks made by hand
            target = {**annotation, "refId": "Anno", "range": True, "instant": False}
            empty = self._query(target, values, may_be_empty=False)
            marks += empty is None
            self._said(f"{title}: annotation {annotation['name']}", None if empty == _NOTHING else empty)
        if self._faults:
            self._said(f"{title}: marks of faults", None if marks else "there are none")

    def _query(self, target: Json, values: Mapping[str, str], *, may_be_empty: bool) -> str | None:
        """What is wrong with the answer to a query; None if nothing is."""
        ref = target["refId"]
        query = {
            "refId": ref,
            "datasource": {"type": SOURCE_TYPE, "uid": SOURCE_UID},
            "expr": _substituted(target["expr"], values),
            "range": bool(target.get("range")),
            "instant": bool(target.get("instant")),
            "format": target.get("format", "time_series"),
            "legendFormat": target.get("legendFormat", ""),
            "intervalMs": STEP_MS,
            "maxDataPoints": POINTS,
        }
        body = {"queries": [query], "from": str(self._begin_ms), "to": str(self._end_ms)}
        code, answer = self._grafana.ask("/api/ds/query", body=body)
        result = answer.get("results", {}).get(ref, {}) if isinstance(answer, dict) else {}
        if code != 200 or result.get("error") or result.get("status", 200) != 200:
            return f"{code} {result.get('error') or answer}"
        frames = result.get("frames", [])
        notices = [
            notice["text"]
            for frame in frames
            for notice in frame["schema"].get("meta", {}).get("notices") or []
            if notice.get("severity") != "info"
        ]
        if notices:
            return "; ".join(notices)
        return None if may_be_empty or any(_has_numbers(frame) for frame in frames) else _NOTHING


_NOTHING = "shows nothing"


def _queries(dashboard: Json) -> list[tuple[str, str, str]]:
    return [
        (panel["title"], target["refId"], target["expr"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]


def _all_of(variable: Json) -> str:
    """The value with which a browser opens a dashboard."""
    return SOURCE_UID if variable["type"] == "datasource" else str(variable.get("allValue") or ".*")


def _substituted(expression: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), expression)


def _has_numbers(frame: Json) -> bool:
    """Whether there is anything to draw. Grafana writes NaN as null."""
    return any(
        isinstance(value, int | float) and math.isfinite(value)
        for field, column in zip(frame["schema"]["fields"], frame["data"]["values"], strict=False)
        if field.get("type") == "number"
        for value in column
    )


def wait_for(grafana: Grafana, seconds: float) -> str | None:
    """Wait until Grafana is healthy. Returns why it is not, or None."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            code, health = grafana.ask("/api/health")
            if code == 200 and health.get("database") == "ok":
                print(f"ok    health, Grafana {health.get('version')}", flush=True)
                return None
            why = f"{code} {health}"
        except Unreachable as error:
            why = str(error)
        if time.monotonic() >= deadline:
            return why
        time.sleep(0.5)


class _Parser(Parser):
    program = "grafana-check"


def main(words: Sequence[str]) -> int:
    """Check a Grafana. Returns the exit code."""
    parser = _Parser(
        prog="python3 -m tools.grafana_check",
        description="Ask a running Grafana for everything that its dashboards need.",
    )
    parser.add_argument("--faults", action="store_true", help="the run had faults: each dashboard must have marks")
    parser.add_argument("--minutes", type=float, default=60, metavar="N", help="how far to look back (default: 60)")
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="for Grafana's health (default: 60)")
    parser.add_argument("url", metavar="URL", help="such as http://127.0.0.1:3000")
    options = parser.parse_args(words)
    try:
        url = urlsplit(options.url)
        usable = url.scheme == "http" and url.hostname and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        parser.error(f"{options.url!r} is no address such as http://127.0.0.1:3000")
    if not (options.minutes > 0 and options.wait >= 0):
        parser.error("--minutes takes a number above 0, --wait one from 0 on")
    grafana = Grafana(url)
    why = wait_for(grafana, options.wait)
    if why is not None:
        print(f"grafana-check: {options.url} is not healthy after {options.wait:g} s: {why}", file=sys.stderr)
        return EXIT_FAILED
    check = Check(grafana, options.minutes, faults=options.faults)
    try:
        check.everything()
    except Unreachable as error:
        print(f"grafana-check: Grafana does not answer any more: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(f"{check.asked - len(check.wrong)} of {check.asked} answers are as they should be")
    return EXIT_WRONG if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
