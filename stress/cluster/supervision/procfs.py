"""Reads /proc: who is alive, whose child it is, what it holds in memory, and whether it belongs to a run of ours.

Only the standard library and nothing of ours, since the watchdog runs on it when everything else is gone.

A process **belongs to a run** if one of these holds; each one alone has a hole, which another one closes:

- its environment carries `AIRFLOW_STRESS_RUN_ID=<run id>`. Survives reparenting and new sessions, but a program that
  changes its title (Airflow through setproctitle, PostgreSQL's backends) may overwrite the kernel's copy of it;
- its working directory is the run's anchor, an empty directory made for nothing else (PostgreSQL: its data directory,
  and the program is `postgres`). Inherited, and never overwritten;
- it descends from one that belongs.

Process ids are reused. A process is therefore named by its id *and* its start time, and killed through a pidfd that
was opened before the two were compared.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LABEL = "AIRFLOW_STRESS_RUN_ID"

_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessInfo:
    """One line of the process table. `started` is in clock ticks since boot."""

    pid: int
    parent: int
    session: int
    started: int
    state: str

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended and only its parent has not noticed yet."""
        return self.state in ("Z", "X")


@dataclass(frozen=True)
class RunMark:
    """What tells the processes of one run: its id, its anchor directory, and its PostgreSQL data directories."""

    run_id: str
    anchor: str
    data_directories: tuple[str, ...] = ()


def read(pid: int) -> ProcessInfo | None:
    """The process with this id, or None if there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    return ProcessInfo(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0])


def table() -> Mapping[int, ProcessInfo]:
    """Every process there is."""
    found: dict[int, ProcessInfo] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            info = read(int(entry.name))
            if info is not None:
                found[info.pid] = info
    return found


def is_same(pid: int, started: int) -> bool:
    """Whether the process that had this id and start time is still alive."""
    info = read(pid)
    return info is not None and info.started == started and not info.is_zombie


def boot_id() -> str:
    """Changes with every boot: start times of two boots can't be compared."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def descendants(roots: Iterable[int], processes: Mapping[int, ProcessInfo]) -> set[int]:
    """The given processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for info in processes.values():
        children.setdefault(info.parent, []).append(info.pid)
    found: set[int] = set()
    todo = [pid for pid in roots if pid in processes]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo.extend(children.get(pid, ()))
    return found


def members(mark: RunMark, *, but: Iterable[int] = ()) -> list[ProcessInfo]:
    """Every live process of the run, except the given ones (and what only they make a member)."""
    processes = table()
    left_out = set(but)
    label = f"{LABEL}={mark.run_id}".encode()
    roots = [pid for pid in processes if pid not in left_out and _carries(pid, label, mark)]
    return [processes[pid] for pid in sorted(descendants(roots, processes) - left_out) if not processes[pid].is_zombie]


def kill(info: ProcessInfo, sig: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to exactly this process; if it is gone, nothing happens."""
    try:
        handle = os.pidfd_open(info.pid)
    except OSError:
        return
    try:
        if is_same(info.pid, info.started):
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(handle, sig)
    finally:
        os.close(handle)


def memory_bytes(pids: Iterable[int]) -> int:
    """The memory of the processes together. Proportional where the kernel tells: shared pages are counted once."""
    total = 0
    for pid in pids:
        for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
            try:
                text = (_PROC / str(pid) / name).read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            line = next((line for line in text.splitlines() if line.startswith(field)), None)
            if line is not None:
                total += int(line.split()[1]) * 1024
                break
    return total


def cpu_seconds(pids: Iterable[int]) -> float:
    """The CPU time of the processes together, with that of their children that have ended and were waited for."""
    ticks = 0
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        ticks += sum(int(field) for field in text.rpartition(")")[2].split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def is_postgres(pid: int) -> bool:
    """Whether the process runs a program of that name."""
    try:
        # `comm`, not `exe`: an executable may be unreadable for us, or deleted already.
        return (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip() == "postgres"
    except OSError:
        return False


def _carries(pid: int, label: bytes, mark: RunMark) -> bool:
    try:
        if label in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
            return True
    except OSError:
        pass  # gone, or of another user
    try:
        directory = str((_PROC / str(pid) / "cwd").readlink()).removesuffix(" (deleted)")
    except OSError:
        return False
    if directory == mark.anchor:
        return True
    return directory in mark.data_directories and is_postgres(pid)
