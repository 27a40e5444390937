"""The hollow worker process: plays many task workers at once over the Execution API. Standard library only.

Reads one JSON object a line from standard input (`id`, `ti`, `try`, `owner`, `token`, `hollow`: what the task would do)
and writes one a line to standard output when a worker process would have ended (`id`, `ok`). Ends when its input ends.

What a task would do, all optional:

- `seconds` of work; `ends_at` (`second`, `period_s`), the moment at which it ends; `end`, `success` or `failed`;
  `outlets`
- `defer` (`classpath`, `kwargs`, `method`), before it ends; with `fires_at` (`second`, `period_s`, `lead_s`) the
  trigger gets that `moment`, and with `times_out_within_s` the time-out is due so many seconds before it at most
- `recorded`: its reports are recorded with DAG, run, task and what it was resumed with, and it fails if it was
  resumed to fail

Each worker has its own identity (host name, user name and process id), as real worker processes have: the
Execution API then refuses a second worker that starts a running task with 409, and does not take it for the first one
that repeats its request.

Raw HTTP on purpose: the task SDK's client retries server errors and would hide them. A server error is recorded with
its code and then retried as a worker would, a bounded number of times. Every answer is recorded as one JSON line in the
shared directory: time, operation, code, duration and task instance; for a start also the try and the worker's identity,
for a final state what was reported.
"""

import asyncio
import itertools
import json
import os
import random
import socket
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_stress_moments import next_moment

CONCURRENCY = int(os.environ.get("AIRFLOW_STRESS_HOLLOW_WORKERS", "12"))
ATTEMPTS = int(os.environ.get("AIRFLOW_STRESS_HOLLOW_ATTEMPTS", "4"))
RETRY_S = 0.3
REQUEST_TIMEOUT_S = 60.0
FAIL_METHOD = "__fail__"
"""The method with which Airflow resumes a deferred task so that it fails."""
API_VERSION = os.environ.get("AIRFLOW_STRESS_API_VERSION", "")


class Recorder:
    """Appends answers to this process's file in the shared directory."""

    def __init__(self) -> None:
        shared = os.environ.get("AIRFLOW_STRESS_SHARED")
        self.file = None
        if shared:
            directory = Path(shared) / "execution_api"
            directory.mkdir(parents=True, exist_ok=True)
            name = f"{os.environ.get('AIRFLOW_STRESS_COMPONENT', 'unknown')}-{os.getpid()}.jsonl"
            self.file = os.open(directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def answer(self, **facts: object) -> None:
        if self.file is not None:
            os.write(self.file, json.dumps(facts, separators=(",", ":")).encode() + b"\n")


class Connections:
    """Kept-alive connections to the Execution API, one per request under way."""

    def __init__(self, base_url: str) -> None:
        url = urlsplit(base_url)
        self.host = url.hostname or "127.0.0.1"
        self.port = url.port or 80
        self.path = url.path.rstrip("/")
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(self, method: str, path: str, token: str, body: object) -> tuple[int, dict[str, str], bytes]:
        payload = json.dumps(body).encode()
        version = f"Airflow-API-Version: {API_VERSION}\r\n" if API_VERSION else ""
        head = (
            f"{method} {self.path}{path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {token}\r\n{version}Content-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n"
        )
        while True:
            reused = bool(self.idle)
            reader, writer = self.idle.pop() if reused else await asyncio.open_connection(self.host, self.port)
            try:
                writer.write(head.encode() + payload)
                answer = await self._read(reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                writer.close()
                if reused:  # the server may have closed an idle connection: not an answer, so ask again
                    continue
                raise
            except BaseException:
                writer.close()
                raise
            if answer[1].get("connection") == "close":
                writer.close()
            else:
                self.idle.append((reader, writer))
            return answer

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        code = int(head[0].split(" ", 2)[1])
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(await reader.readline(), 16):
                parts.append(await reader.readexactly(size))
                await reader.readexactly(2)
            await reader.readexactly(2)
            return code, headers, b"".join(parts)
        return code, headers, await reader.readexactly(int(headers.get("content-length", "0")))


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


class Identities:
    """Numbers the workers of this process. No two workers of a block have the same host name and process id."""

    def __init__(self) -> None:
        component = os.environ.get("AIRFLOW_STRESS_COMPONENT", socket.gethostname())
        # The process id alone is not enough: in a container it is the same after each restart.
        self.hostname = f"{component}-{os.getpid()}-{time.time():.3f}"
        self.numbers = itertools.count(1)

    def new(self) -> dict[str, Any]:
        return {"hostname": self.hostname, "unixname": "hollow", "pid": next(self.numbers)}


def deferral(defer: dict[str, Any]) -> dict[str, object]:
    """The report of a deferral, to a moment if it is planned so."""
    kwargs = dict(defer["kwargs"])
    state: dict[str, object] = {
        "state": "deferred",
        "classpath": defer["classpath"],
        "trigger_kwargs": kwargs,
        "next_method": defer["method"],
        "next_kwargs": {},
    }
    if "fires_at" in defer:
        kwargs["moment"] = next_moment(**defer["fires_at"])
        if "times_out_within_s" in defer:
            before_s = random.uniform(0.0, defer["times_out_within_s"])  # noqa: S311 - no secret
            state["trigger_timeout"] = kwargs["moment"] - before_s - time.time()
    return state


class Worker:
    """Plays tasks: enter running, work, defer or report the end. Each play has its own worker identity."""

    def __init__(self, connections: Connections, recorder: Recorder) -> None:
        self.connections = connections
        self.recorder = recorder
        self.identities = Identities()

    async def call(
        self, operation: str, method: str, path: str, work: dict[str, Any], body: object, **facts: object
    ) -> tuple[int, bytes]:
        """Call until the answer is not a server error; code 0 stands for no answer at all."""
        for attempt in range(ATTEMPTS):
            started = time.monotonic()
            try:
                code, headers, content = await asyncio.wait_for(
                    self.connections.request(method, path, work["token"], body), REQUEST_TIMEOUT_S
                )
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                code, headers, content = 0, {}, b""
            self.recorder.answer(
                t=time.time(), op=operation, code=code, s=round(time.monotonic() - started, 6), **facts
            )
            work["token"] = headers.get("refreshed-api-token", work["token"])
            if 0 < code < 500:
                return code, content
            if attempt + 1 < ATTEMPTS:
                spread = random.uniform(0.5, 1.5)  # noqa: S311 - so that workers do not come back together
                await asyncio.sleep(RETRY_S * (2**attempt) * spread)
        return code, content

    async def play(self, work: dict[str, Any]) -> bool:
        """True if the task's process would have ended with exit code 0."""
        ti = work["ti"]
        hollow = work["hollow"]
        identity = self.identities.new()
        body = {"state": "running", "start_date": now(), **identity}
        facts = {"ti": ti, "try": work["try"], "worker": [*identity.values()]}
        code, content = await self.call("run", "PATCH", f"/task-instances/{ti}/run", work, body, **facts)
        if code != 200:
            return False
        context = json.loads(content)
        method = context.get("next_method")
        await asyncio.sleep(float(hollow.get("seconds", 0.0)))
        if "defer" in hollow and not method:
            state = deferral(hollow["defer"])
            code, _ = await self.call("defer", "PATCH", f"/task-instances/{ti}/state", work, state, ti=ti)
            return 200 <= code < 300
        if "ends_at" in hollow:
            await asyncio.sleep(next_moment(**hollow["ends_at"]) - time.time())
        if not hollow.get("recorded"):
            return await self.end(work, hollow.get("end", "success"))
        end = "failed" if method == FAIL_METHOD else hollow.get("end", "success")
        # The event's key, however the arguments are serialised.
        has_event = '"event"' in json.dumps(context.get("next_kwargs"))
        return await self.end(
            work, end, **work["owner"], **{"try": work["try"], "next_method": method, "next_event": has_event}
        )

    async def end(self, work: dict[str, Any], end: str, **facts: object) -> bool:
        """Report the task's end; true if it is a success that is stored."""
        ti = work["ti"]
        state: dict[str, object] = {"state": end, "end_date": now()}
        if end == "success":
            state |= {"task_outlets": work["hollow"].get("outlets", []), "outlet_events": []}
        code, _ = await self.call(
            end, "PATCH", f"/task-instances/{ti}/state", work, state, ti=ti, reported=end, **facts
        )
        # 204 says that the state was stored, 200 (from 3.3 on) that it had been already.
        return end == "success" and 200 <= code < 300


async def main() -> None:
    worker = Worker(Connections(os.environ["AIRFLOW_STRESS_EXECUTION_API"]), Recorder())
    places = asyncio.Semaphore(CONCURRENCY)
    reader = asyncio.StreamReader(limit=2**22)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    plays: set[asyncio.Task[None]] = set()

    async def play(work: dict[str, Any]) -> None:
        async with places:
            ok = await worker.play(work)
        os.write(1, json.dumps({"id": work["id"], "ok": ok}).encode() + b"\n")

    while line := await reader.readline():
        task = asyncio.create_task(play(json.loads(line)))
        plays.add(task)
        task.add_done_callback(plays.discard)


if __name__ == "__main__":
    asyncio.run(main())
