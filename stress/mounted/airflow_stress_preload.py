"""Runs inside Airflow: a process that imports Airflow once and then forks components on request.

    harness -- SEQPACKET socket, our standard input --> parent (this program; never opens the database)
                   {"arguments", "environment", "log"}     |
                   <-- {"pid"} and the child's pidfd       +-- fork --> its own session, streams, environment;
                   <-- {"exited", "code"}                               then Airflow's own main()

A child equals a started process because nothing that the imports have read can differ:

- The parent is started with the whole environment of a component. A child may change the variables of `VARYING` and
  no others; a request that changes another one is refused. What the imports took from these, the child evaluates again
  (`_renew`). In the parent they have values that lead nowhere, so that one that was missed shows.
- The parent must have one thread and no open descriptor but its three streams when the imports end: no connection,
  no event loop. Modules that would read the database, start threads or run the DAGs are not imported.
- Python and OpenSSL seed their random generators again after a fork. The seed of string hashes stays: the harness
  runs two parents an arm, and gives the two components of a kind different ones (`local/preload.py`).

Standard library only, and Airflow; imports nothing of the harness.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

VARYING = frozenset(
    {
        "AIRFLOW_STRESS_COMPONENT",
        "AIRFLOW_STRESS_FIX_REPORT_DIR",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
    }
)
"""The variables that differ between a parent and its children."""

_EVERY_COMPONENT = (
    "airflow.__main__",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.jobs.dag_processor_job_runner",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.triggerer_command",
    "airflow.cli.commands.dag_processor_command",
    # Each triggerer and the dag-processor serve the Execution API to their own children, from the first request on.
    "airflow.api_fastapi.execution_api.app",
    "airflow.api_fastapi.execution_api.routes",
    "airflow.api_fastapi.execution_api.versions",
    "airflow.api_fastapi.common.dagbag",
    "airflow.serialization.serialized_objects",
    "airflow.executors.executor_loader",
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.collection",
    "airflow.sdk.execution_time.task_runner",
    "a2wsgi",
    "asyncpg",
    "psycopg2",
    "sqlalchemy.dialects.postgresql.asyncpg",
)
_API_SERVER = (
    "airflow.cli.commands.api_server_command",
    "airflow.api_fastapi.app",
    "airflow.api_fastapi.core_api.app",
    "airflow.api_fastapi.core_api.middleware",
    "airflow.api_fastapi.core_api.routes.public",
    "airflow.api_fastapi.core_api.routes.ui",
    "airflow.api_fastapi.auth.managers.simple.simple_auth_manager",
    "airflow.api_fastapi.auth.managers.simple.routes.login",
    "uvicorn.main",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.lifespan.on",
)


class Unfit(Exception):  # noqa: N818 - it says what happened
    """The state after the imports must not be shared by components; the message says what is wrong."""


def import_all(modules: Sequence[str]) -> list[str]:
    """Import the modules; return those that this release does not have."""
    absent = []
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise
            absent.append(name)
    return absent


@dataclass(frozen=True)
class Apps:
    """The built applications: `in_process` is a triggerer's, `server_variables` is what making the api-server's own has
    added to the environment, which no other component has."""

    in_process: Any
    server_variables: Mapping[str, str]


def build_apps(*, api_server: bool) -> Apps:
    """Build the applications of the Execution API, whose versions take seconds of CPU to generate at a first request.

    An api-server finds its own where uvicorn imports it. Nothing of them is started: they have no event loop, no thread
    and no connection. A release whose applications are made in another way
    is left alone, and builds them at its first request, as a started process does.
    """
    from airflow.jobs import triggerer_job_runner

    make = getattr(triggerer_job_runner, "in_process_api_server", None)
    in_process = make() if make is not None else None
    apps = [in_process.app] if in_process is not None else []
    before = dict(os.environ)
    if api_server:
        from airflow.api_fastapi.main import app

        apps += [route.app for route in app.routes if hasattr(route, "app")]
    added = {name: value for name, value in os.environ.items() if name not in before}
    for name in added:
        del os.environ[name]
    for each in apps:
        if not getattr(each, "_cadwyn_initialized", True):
            each._cadwyn_initialize()
    return Apps(in_process, added)


def check_fit(before: Mapping[str, str]) -> None:
    """Raise Unfit if the imports have left something that a fork would share or repeat wrongly."""
    if dict(os.environ) != before:
        changed = sorted(name for name in {*os.environ, *before} if os.environ.get(name) != before.get(name))
        raise Unfit(f"the imports have changed the environment: {', '.join(changed)}")
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - only their number matters
        raise Unfit(f"the imports have started threads: {', '.join(thread.name for thread in threading.enumerate())}")
    descriptors = _descriptors()
    if descriptors:
        raise Unfit(f"the imports have left descriptors open: {descriptors}")


def _descriptors() -> dict[int, str]:
    found = {}
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the directory's own descriptor must be known
        try:
            found[int(entry)] = os.readlink(f"/proc/self/fd/{entry}")  # noqa: PTH115 - as above
        except OSError:
            continue  # the one that listed the directory
    return {number: target for number, target in found.items() if number > 2}


class Parent:
    """Answers requests until the harness closes the socket. In a child, `serve` returns the request."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, int] = {}
        """Process ids by pidfd."""

    def serve(self) -> dict[str, Any] | None:
        """The request in a child; None at the end."""
        while True:
            poller = select.poll()
            for descriptor in (self._control.fileno(), *self._children):
                poller.register(descriptor, select.POLLIN)
            ready = [descriptor for descriptor, _ in poller.poll()]
            for descriptor in ready:
                if descriptor in self._children:
                    self._report_end(descriptor)
            if self._control.fileno() in ready:
                message = self._control.recv(1 << 20)
                if not message:
                    return None
                request = json.loads(message)
                if self._fork(request):
                    return dict(request)

    def _fork(self, request: Mapping[str, Any]) -> bool:
        """Fork a component; True in the child. The answer follows when the child is set up."""
        wrong = {
            name
            for name in {*request["environment"], *os.environ} - VARYING
            if request["environment"].get(name) != os.environ.get(name)
        }
        if wrong:
            self._send({"refused": f"a child cannot differ from its parent in {', '.join(sorted(wrong))}"})
            return False
        set_up, done = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(set_up)
            self._become(request)
            os.close(done)
            return True
        os.close(done)
        os.read(set_up, 1)  # ends when the child has closed its side, or has died
        os.close(set_up)
        handle = os.pidfd_open(pid)
        self._children[handle] = pid
        socket.send_fds(self._control, [json.dumps({"pid": pid}).encode()], [handle])
        return False

    def _become(self, request: Mapping[str, Any]) -> None:
        """In the child: what a new process gets from the kernel and from its parent."""
        for handle in self._children:
            os.close(handle)
        self._control.detach()  # descriptor 0, which is replaced below
        os.setsid()
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(log)
        os.close(nothing)
        for name in VARYING:
            value = request["environment"].get(name)
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _report_end(self, handle: int) -> None:
        pid = self._children.pop(handle)
        _, status = os.waitpid(pid, 0)
        os.close(handle)
        self._send({"exited": pid, "code": os.waitstatus_to_exitcode(status)})

    def _send(self, message: Mapping[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())


def repeat_fix_reports(directory: Path) -> None:
    """Report in the child's name what the fixes have reported in the parent, whose modules the child runs."""
    own = os.environ.get("AIRFLOW_STRESS_FIX_REPORT_DIR")
    if not own:
        return
    for report in directory.glob(f"*-{os.getppid()}.jsonl"):
        lines = [
            json.dumps({**json.loads(line), "t": time.time(), "component": component(), "pid": os.getpid()}) + "\n"
            for line in report.read_text(encoding="utf-8").splitlines()
        ]
        Path(own).mkdir(parents=True, exist_ok=True)
        with Path(own, f"{component()}-{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(lines)


def component() -> str:
    """Which component this process is."""
    return os.environ.get("AIRFLOW_STRESS_COMPONENT") or "unknown"


def _renew() -> None:
    """Evaluate again what the imports took from the variables of `VARYING`."""
    from airflow import settings

    if "airflow_stress_component" in sys.modules:
        importlib.reload(sys.modules["airflow_stress_component"])
    settings.configure_vars()
    # The definitions of assets keep a copy of the address, to ask whether it is MySQL's.
    assets: Any = sys.modules.get("airflow.sdk.definitions.asset")
    if hasattr(assets, "SQL_ALCHEMY_CONN"):
        assets.SQL_ALCHEMY_CONN = settings.SQL_ALCHEMY_CONN
    # The parent's engine has an address that leads nowhere, and has never connected.
    settings.configure_orm()


def _run(arguments: Sequence[str], parent_reports: str | None, apps: Apps) -> NoReturn:
    """In a child: be the component."""
    sys.argv = list(arguments)
    if component() == "api-server":
        os.environ.update(apps.server_variables)
    if apps.in_process is not None:
        from airflow.jobs import triggerer_job_runner

        triggerer_job_runner.in_process_api_server = lambda: apps.in_process
    if parent_reports:
        repeat_fix_reports(Path(parent_reports))
    _renew()
    from airflow.__main__ import main

    sys.exit(main())


def start() -> None:
    """Import, check, report readiness, and serve. `--api-server` also imports what only the api-server needs."""
    control = socket.socket(fileno=0)
    # Nearly all that the imports make lives until the end: to search it for garbage costs a tenth of the CPU time.
    gc.disable()
    before = dict(os.environ)
    api_server = "--api-server" in sys.argv
    absent = import_all([*_EVERY_COMPONENT, *(_API_SERVER if api_server else ())])
    apps = build_apps(api_server=api_server)
    check_fit(before)
    reports = os.environ.get("AIRFLOW_STRESS_FIX_REPORT_DIR")
    # The collector would write to every object that it looks at, and so copy every page that the children share.
    gc.collect()
    gc.freeze()
    gc.enable()
    control.send(json.dumps({"ready": True, "absent": absent}).encode())
    request = Parent(control).serve()
    if request is not None:
        _run(request["arguments"], reports, apps)


if __name__ == "__main__":
    start()
