"""What a run writes down about itself before it starts anything, so that others can clean up after it.

One JSON file a run in `<cache>/runs`, and one directory a run in the temporary directory, which holds everything that
the run puts on disk outside of its results. The directory carries a marker with the run's id: what has no marker with
the right id is never removed, even if the JSON file names it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stress.cache import cache_directory, write_atomically
from stress.cluster.errors import ClusterError
from stress.cluster.supervision import procfs

_PREFIX = "airflow-stress-"
_MARKER = ".airflow-stress-run"


@dataclass(frozen=True)
class RunRecord:
    """A run as the registry knows it. `harness_started` is in clock ticks since the boot that `boot` names."""

    run_id: str
    harness_pid: int
    harness_started: int
    boot: str
    directory: str
    created: str

    @property
    def anchor(self) -> Path:
        """The working directory of the run's processes: empty, and for nothing else."""
        return Path(self.directory) / "anchor"

    @property
    def data_directory(self) -> Path:
        """Where PostgreSQL keeps the run's databases."""
        return Path(self.directory) / "postgres" / "data"

    @property
    def mark(self) -> procfs.RunMark:
        """What distinguishes the run's processes from others."""
        return procfs.RunMark(self.run_id, str(self.anchor), (str(self.data_directory),))

    @property
    def harness_is_alive(self) -> bool:
        """Whether the process that started the run is still there."""
        return self.boot == procfs.boot_id() and procfs.is_same(self.harness_pid, self.harness_started)


def registry_directory() -> Path:
    """Where the records are."""
    return cache_directory() / "runs"


def record_path(run_id: str) -> Path:
    """Where the record of one run is."""
    return registry_directory() / f"{run_id}.json"


def new_run_id() -> str:
    """A name for a run: when it began, and enough chance that two never share it."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def register(run_id: str) -> RunRecord:
    """Make the run's directory and write its record."""
    me = procfs.read(os.getpid())
    if me is None:
        raise ClusterError("this machine has no /proc: the local cluster needs Linux")
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{run_id}-")).resolve()
    # Others may pass through, not list: PostgreSQL may run as another user, and its directory is below.
    directory.chmod(0o711)
    (directory / _MARKER).write_text(run_id, encoding="utf-8")
    record = RunRecord(run_id, me.pid, me.started, procfs.boot_id(), str(directory), datetime.now(UTC).isoformat())
    record.anchor.mkdir()
    record.anchor.chmod(0o755)
    try:
        write_atomically(record_path(run_id), json.dumps(dataclasses.asdict(record), indent=1) + "\n")
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise ClusterError(
            f"{registry_directory()} can't be written ({error}): set AIRFLOW_STRESS_CACHE to a directory that can"
        ) from error
    return record


def load(path: Path) -> RunRecord | None:
    """The record in a file, or None if it isn't one (half-written by hand, of another version)."""
    try:
        return RunRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def records() -> Iterator[RunRecord]:
    """Every run that the registry knows."""
    directory = registry_directory()
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else []:
        record = load(path)
        if record is not None:
            yield record


def forget(record: RunRecord) -> None:
    """Remove the run's directory, if it really is that run's, and then its record."""
    directory = Path(record.directory)
    try:
        is_ours = (directory / _MARKER).read_text(encoding="utf-8") == record.run_id
    except OSError:
        is_ours = False
    if is_ours and directory.name.startswith(_PREFIX):
        # The marker goes last: a removal that is interrupted can be taken up again.
        for entry in directory.iterdir():
            if entry.name != _MARKER:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
    record_path(record.run_id).unlink(missing_ok=True)
