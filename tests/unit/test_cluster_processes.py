"""Processes are started with the run's label and ended with everything they started."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stress.cluster.errors import ClusterError
from stress.cluster.ports import free_port, is_free
from stress.cluster.supervision import procfs
from stress.cluster.supervision.processes import Command, Label, Process, kill_trees, spawn, stop_all, wait_any
from tests.timing import wait_for

Start = Callable[..., Process]

LIVES_ON = "import time; time.sleep(100)"
"""A program that does nothing until it is ended."""

# Starts a child in a session of its own that ignores SIGTERM, prints its id, and waits.
STUBBORN_GRANDCHILD = """
import os, signal, subprocess, sys, time
code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(100)"
child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(100)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Python program as a process of a run; ends it after the test."""
    anchor = tmp_path / "anchor"
    anchor.mkdir()
    started: list[Process] = []

    def start(program: str, name: str = "component") -> Process:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = Command(name, [sys.executable, "-c", program], environment, tmp_path / "logs" / f"{name}.log")
        process = spawn(command, Label("a-run", anchor))
        started.append(process)
        return process

    yield start
    kill_trees(started)


def first_line(process: Process, timeout_s: float = 20.0) -> str:
    """What the process printed first."""
    log = process.command.log_file
    wait_for(lambda: log.read_text().endswith("\n"), timeout_s, f"{process.name} to print a line")
    return log.read_text().splitlines()[0]


def test_output_and_errors_go_to_one_log(start: Start) -> None:
    process = start("import sys; print('out', flush=True); sys.exit('err')")
    assert process.wait(20) == 1
    assert process.log_tail() == "out\nerr"


def test_a_log_is_continued_after_a_restart(start: Start) -> None:
    for word in ("first", "second"):
        start(f"print({word!r})").wait(20)
    assert start("pass").log_tail() == "first\nsecond"


def test_a_process_is_outside_of_the_terminal_s_session(start: Start) -> None:
    process = start(LIVES_ON)
    assert os.getsid(process.pid) == process.pid


def test_waiting_ends_with_the_process_not_with_the_time(start: Start) -> None:
    process = start("pass")
    assert wait_any([process], 3600)  # longer than the test may last


def test_waiting_is_bounded(start: Start) -> None:
    assert start(LIVES_ON).wait(0.1) is None


def test_a_polite_request_is_enough_for_a_polite_process(start: Start) -> None:
    process = start("import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print(); time.sleep(100)")
    first_line(process)
    stop_all([process], grace_s=20)
    assert process.exit_code() == 7


def test_a_descendant_in_another_session_that_ignores_sigterm_is_ended_too(start: Start) -> None:
    process = start(STUBBORN_GRANDCHILD)
    grandchild = procfs.read(int(first_line(process)))
    assert grandchild is not None
    assert grandchild.session != process.pid
    stop_all([process], grace_s=1)
    assert not procfs.is_same(grandchild.pid, grandchild.started)


def test_stopping_what_has_ended_is_no_error(start: Start) -> None:
    process = start("pass")
    process.wait(20)
    stop_all([process], grace_s=0)
    stop_all([process], grace_s=0)
    assert process.exit_code() == 0


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    command = Command("thing", ["/nonexistent/program"], {}, tmp_path / "log")
    with pytest.raises(ClusterError, match=r"thing could not be started \(/nonexistent/program\)"):
        spawn(command, Label("a-run", tmp_path))


def test_a_member_is_known_by_its_environment(start: Start) -> None:
    process = start("import os, time; os.chdir('/'); print(); time.sleep(100)")
    first_line(process)
    assert process.pid in [info.pid for info in procfs.members(procfs.RunMark("a-run", "/nonexistent"))]


def test_a_member_is_known_by_its_working_directory(start: Start, tmp_path: Path) -> None:
    process = start(LIVES_ON)
    assert process.pid in [info.pid for info in procfs.members(procfs.RunMark("no-run", str(tmp_path / "anchor")))]


def test_a_member_s_descendants_are_members(start: Start) -> None:
    # The child has neither the label nor the directory.
    program = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], env={}, cwd='/')\n"
        "print(p.pid, flush=True); time.sleep(100)"
    )
    child = int(first_line(start(program)))
    assert child in [info.pid for info in procfs.members(procfs.RunMark("a-run", "/nonexistent"))]


def test_nobody_else_is_a_member(tmp_path: Path) -> None:
    assert procfs.members(procfs.RunMark("another-run", str(tmp_path / "nowhere"))) == []


def test_a_process_id_given_to_somebody_else_is_not_killed(start: Start) -> None:
    process = start(LIVES_ON)
    info = procfs.read(process.pid)
    assert info is not None
    procfs.kill(procfs.ProcessInfo(info.pid, info.parent, info.session, info.started - 1, info.state))
    assert process.wait(0.3) is None


def test_a_name_with_spaces_and_parentheses_is_read(start: Start) -> None:
    process = start("open('/proc/self/comm', 'w').write('a) b (c'); print(); import time; time.sleep(100)")
    first_line(process)
    info = procfs.read(process.pid)
    assert info is not None
    assert (info.parent, info.session) == (os.getpid(), process.pid)


def test_memory_is_told_in_bytes() -> None:
    assert 2**20 < procfs.memory_bytes([os.getpid()]) < 2**32


def test_ports_are_free_and_never_the_same() -> None:
    ports = {free_port() for _ in range(50)}
    assert len(ports) == 50
    assert all(is_free(port) for port in ports)
