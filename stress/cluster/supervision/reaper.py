"""Ends every process of a run whose harness is dead, and removes what the run left on disk.

PostgreSQL's postmaster first gets SIGQUIT, its immediate shutdown: it takes its backends with it and gives its shared
memory back to the kernel, which SIGKILL would leave allocated. Everything else gets SIGKILL at once. As a process may
fork between being looked at and being killed, looking goes on until two looks in a row have found nothing.
"""

from __future__ import annotations

import os
import signal
import time

from stress.cluster.supervision import procfs
from stress.cluster.supervision.registry import RunRecord, forget

_POSTGRES_GRACE_S = 2.0
_PAUSE_S = 0.1


def end_run(record: RunRecord, timeout_s: float = 12.0) -> tuple[procfs.ProcessInfo, ...]:
    """Kill what is alive and remove what is left. Returns the survivors: none, unless the kernel holds them."""
    survivors = kill_members(record, timeout_s)
    if not survivors:
        forget(record)
    return survivors


def kill_members(record: RunRecord, timeout_s: float) -> tuple[procfs.ProcessInfo, ...]:
    """Kill every process of the run."""
    began = time.monotonic()
    asked: set[int] = set()
    quiet = 0
    while True:
        alive = procfs.members(record.mark, but=(os.getpid(),))
        quiet = 0 if alive else quiet + 1
        if quiet == 2:
            return ()
        elapsed = time.monotonic() - began
        if elapsed > timeout_s:
            return tuple(alive)
        postgres = {info.pid for info in alive if procfs.is_postgres(info.pid)}
        for info in alive:
            if info.pid not in postgres or elapsed > _POSTGRES_GRACE_S:
                procfs.kill(info)
            elif info.parent not in postgres and info.pid not in asked:
                # Only the postmaster: it ends its backends itself.
                asked.add(info.pid)
                procfs.kill(info, signal.SIGQUIT)
        time.sleep(_PAUSE_S)
