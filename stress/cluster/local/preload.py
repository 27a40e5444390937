"""Parents that have imported Airflow, and the components that they fork for us.

The parent's side, and why a child equals a started process, is `mounted/airflow_stress_preload.py`. Here:

- A parent is started for one environment (an arm's release, fixes and configuration, and the block's settings). An
  environment that differs from it in any variable but `VARYING` gets its own parent, so an arm with fixes never
  shares one with an arm without.
- The first scheduler, the first triggerer and the api-server come from one parent, the second of each kind and the
  dag-processor from another: string hashes, and with them the order of sets, differ between peers as they do between
  programs that were started on their own.
- The parent, not the harness, is the parent of the component in the kernel's sense. It sends a pidfd with the answer,
  so that the end of a component wakes us as before, and its exit code when it has reaped it.

Everything else (`Process`, sessions, logs, faults, the watchdog) is the same for forked and spawned processes.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stress.arms.environments import AirflowEnvironment
from stress.cluster.errors import ClusterError, ComponentFailed
from stress.cluster.supervision import procfs
from stress.cluster.supervision.processes import Command, Label, Process, spawn, stop_all
from stress.components import Role

VARYING = frozenset(
    {
        "AIRFLOW_STRESS_COMPONENT",
        "AIRFLOW_STRESS_FIX_REPORT_DIR",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
    }
)
"""The variables that differ between components of a parent; `mounted/airflow_stress_preload.py` says the same."""

NOWHERE = "leads-nowhere"
"""In every value that a parent has for a variable of `VARYING`. No child may keep it."""

_READY_TIMEOUT_S = 180.0
_FORK_TIMEOUT_S = 20.0
_EXIT_CODE_TIMEOUT_S = 5.0
_MESSAGE_BYTES = 1 << 16


@dataclass
class _Forked:
    """The source of a forked component's exit code."""

    parent: Parent
    pid: int
    handle: int
    code: int | None = None

    def poll(self) -> int | None:
        """The exit code, or None while the process runs."""
        if self.code is None and _has_ended(self.handle):
            self.code = self.parent.exit_code_of(self.pid)
        return self.code


class Parent:
    """One parent. `fork` waits until the parent is ready, so that its imports overlap with other work until then."""

    def __init__(self, name: str, environment: AirflowEnvironment, command: Command, label: Label) -> None:
        self.name = name
        self._label = label
        self._codes: dict[int, int] = {}
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ready = False
        self.absent: tuple[str, ...] = ()
        """Modules that the release does not have."""
        try:
            self.process = spawn(command, label, stdin=theirs.fileno())
        finally:
            theirs.close()
        self._program = str(environment.airflow)

    def fork(self, command: Command) -> Process:
        """A component, forked and set up, with the command's environment, log and arguments."""
        self._await_ready()
        command.log_file.parent.mkdir(parents=True, exist_ok=True)
        request = {
            "arguments": list(command.arguments),
            "environment": {**command.environment, procfs.LABEL: self._label.run_id},
            "log": str(command.log_file),
        }
        self._send(request)
        deadline = time.monotonic() + _FORK_TIMEOUT_S
        while True:
            message, handles = self._receive(deadline, f"fork {command.name}")
            if "refused" in message:
                raise ClusterError(f"{command.name} was not forked: {message['refused']}")
            if "pid" in message:
                pid, (handle,) = int(str(message["pid"])), handles
                info = procfs.read(pid)
                return Process(command, _Forked(self, pid, handle), handle, info.started if info else 0)

    def exit_code_of(self, pid: int) -> int:
        """The exit code of a component that has ended. Raises ClusterError if the parent does not report it."""
        deadline = time.monotonic() + _EXIT_CODE_TIMEOUT_S
        while pid not in self._codes:
            self._receive(deadline, f"report the exit code of process {pid}")
        return self._codes.pop(pid)

    def close(self) -> None:
        """End the parent and all of its components."""
        self._control.close()
        stop_all([self.process], grace_s=0)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not self._ready:
            message, _ = self._receive(deadline, "import Airflow")
            absent = message.get("absent", ())
            self.absent = tuple(map(str, absent)) if isinstance(absent, list) else ()

    def _send(self, message: Mapping[str, object]) -> None:
        try:
            self._control.send(json.dumps(message).encode())
        except OSError as error:
            raise self._failed(f"takes no request ({error})") from error

    def _receive(self, deadline: float, what: str) -> tuple[dict[str, object], list[int]]:
        """The next message; exit codes are kept on the way."""
        self._control.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data, handles, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 1)
        except TimeoutError as error:
            raise self._failed(f"did not {what} in time") from error
        except OSError as error:
            raise self._failed(f"did not {what} ({error})") from error
        if not data:
            raise self._failed(f"ended before it could {what}")
        message = json.loads(data)
        if "exited" in message:
            self._codes[message["exited"]] = message["code"]
        self._ready = self._ready or "ready" in message
        return message, handles

    def _failed(self, what: str) -> ComponentFailed:
        self.process.wait(1.0)
        return ComponentFailed(
            f"the preloaded parent {self.name} {what} (exit code {self.process.exit_code()}); --cold-start runs "
            f"without one; the end of {self.process.command.log_file}:\n{self.process.log_tail(25)}"
        )


class Parents:
    """All parents of a run."""

    def __init__(self, directory: Path, label: Label) -> None:
        """`directory` is for their logs and reports."""
        self._directory = directory
        self._label = label
        self._parents: dict[tuple[object, ...], Parent] = {}

    def parent(self, environment: AirflowEnvironment, variables: Mapping[str, str], place: int) -> Parent:
        """The parent for this environment, started if there is none. `place` 0 also serves the api-server."""
        same = tuple(sorted((name, value) for name, value in variables.items() if name not in VARYING))
        key = (environment.python, place, same)
        if key not in self._parents:
            self._parents[key] = self._start(environment, dict(same), place)
        return self._parents[key]

    def check(self) -> None:
        """Raise ComponentFailed if a parent has ended: its components can't be supervised any more."""
        for parent in self._parents.values():
            if parent.process.exit_code() is not None:
                raise parent._failed("ended in the middle of a block")

    def memory_bytes(self) -> int:
        """The parents' own memory; pages that they share with their components are counted in parts."""
        running = [parent.process.pid for parent in self._parents.values() if parent.process.exit_code() is None]
        return procfs.memory_bytes(running)

    def close(self) -> None:
        """End them all."""
        with contextlib.ExitStack() as steps:
            for parent in self._parents.values():
                steps.callback(parent.close)
        self._parents.clear()

    def _start(self, environment: AirflowEnvironment, variables: dict[str, str], place: int) -> Parent:
        name = f"parent-{len(self._parents)}"
        reports = self._directory / f"{name}-fixes"
        reports.mkdir(parents=True, exist_ok=True)
        nowhere = {
            "AIRFLOW_STRESS_COMPONENT": NOWHERE,
            "AIRFLOW_STRESS_FIX_REPORT_DIR": str(reports),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{NOWHERE}:{NOWHERE}@127.0.0.1:1/{NOWHERE}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{NOWHERE}:{NOWHERE}@127.0.0.1:1/{NOWHERE}",
        }
        arguments = [str(environment.python), "-m", "airflow_stress_preload", *(["--api-server"] if place == 0 else [])]
        command = Command(name, arguments, {**variables, **nowhere}, self._directory / f"{name}.log")
        return Parent(name, environment, command, self._label)


def place_of(component: str) -> int:
    """Which of the arm's parents forks a component: peers of a kind come from different ones."""
    kind, _, number = component.rpartition("-")
    if kind in (Role.SCHEDULER, Role.TRIGGERER):
        return int(number) - 1
    return 0 if component == Role.API_SERVER else 1


def _has_ended(handle: int) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(0))
