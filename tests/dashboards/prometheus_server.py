"""The programs of Prometheus, and a server of our own: on the loopback, on a free port, ended by its handle."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest

from tests.timing import eventually

START_S = 30.0
"""How long a server may take to be ready."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One series of an answer: a `value` at an instant or `values` over a range, each a time and a number as text."""

    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []

    def numbers(self) -> list[float]:
        """The numbers only."""
        return [float(number) for _, number in ([self.value] if self.value else self.values)]


class QueryData(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a query."""

    result: list[Series]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP API says around an answer. `infos` is how newer servers complain of a query that runs."""

    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    warnings: list[str] = []
    infos: list[str] = []


def program(name: str) -> str:
    """Where a program is, or a failure that says how to get it."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install --no-install-recommends prometheus", pytrace=False)
    return found


def promtool(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool; what it says, to either output, is in the result's `stdout`."""
    return subprocess.run(
        [program("promtool"), *arguments],
        check=False,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )


class Server:
    """A running Prometheus, by its HTTP API."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """One request: the code and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path + ("?" + urlencode(parameters) if parameters else ""))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def api(self, path: str, **parameters: str) -> Answer:
        """One request to the API, whatever the answer is."""
        return msgspec.json.decode(self.get(f"/api/v1/{path}", parameters)[1], type=Answer)

    def query(self, expression: str) -> list[Series]:
        """The series of an expression now."""
        return msgspec.json.decode(self.api("query", query=expression).data, type=QueryData).result


def wait_for(what: str, condition: Callable[[], bool], seconds: float, hint: Callable[[], str]) -> None:
    """Wait until a condition holds; `hint` says more if it never does."""
    if not eventually(condition, seconds):
        pytest.fail(f"waited {seconds:g} s for {what}\n{hint()}", pytrace=False)


@contextmanager
def running(config: str, directory: Path) -> Iterator[Server]:
    """Run a Prometheus with this configuration until the end of the block."""
    (directory / "prometheus.yml").write_text(config)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = directory / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # It shares the machine with whatever else is tested.
            env={**os.environ, "GOMAXPROCS": "1"},
        )
    try:
        server = Server(port)

        def ready() -> bool:
            if process.poll() is not None:
                pytest.fail(f"Prometheus ended with {process.returncode}\n{log.read_text()}", pytrace=False)
            try:
                return server.get("/-/ready")[0] == http.HTTPStatus.OK
            except OSError:
                return False

        wait_for("Prometheus to be ready", ready, START_S, log.read_text)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
