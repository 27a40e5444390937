"""What dead runs left behind: `stress clean` lists it, then removes it.

Normally there is nothing: the harness cleans up, and where it was killed its watchdog does. Something is left when both
were killed, or the machine went down. A run whose harness is alive is never looked at, and of the others only what
carries their label is touched (see `procfs` and `registry`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stress.cluster.supervision import procfs
from stress.cluster.supervision.reaper import end_run
from stress.cluster.supervision.registry import RunRecord, records


@dataclass(frozen=True)
class OrphanedRun:
    """What is left of one dead run."""

    record: RunRecord
    processes: tuple[procfs.ProcessInfo, ...]
    directory: Path | None

    def describe(self) -> str:
        """One line for the user."""
        parts = [f"{len(self.processes)} processes"] if self.processes else []
        parts += [str(self.directory)] if self.directory else []
        return f"run {self.record.run_id} of {self.record.created}: {', '.join(parts) or 'its record only'}"


def find() -> tuple[OrphanedRun, ...]:
    """What there is. Changes nothing."""
    found = []
    for record in records():
        if not record.harness_is_alive:
            directory = Path(record.directory)
            processes = tuple(procfs.members(record.mark, but=(os.getpid(),)))
            found.append(OrphanedRun(record, processes, directory if directory.is_dir() else None))
    return tuple(found)


def remove(orphan: OrphanedRun) -> tuple[procfs.ProcessInfo, ...]:
    """End its processes and remove its files. Returns who survived; then its files are kept."""
    if orphan.record.harness_is_alive:
        return ()
    return end_run(orphan.record)
