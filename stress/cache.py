"""Where the harness keeps what the next run can use again, and how two runs share it.

`AIRFLOW_STRESS_CACHE` names the directory outright; otherwise it is `airflow-stress` below the XDG cache directory.
Everything in it can be deleted at any time between runs: it is only ever a faster way to the same thing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stress.errors import StressError

_LOCK_POLL_S = 0.2


class CacheLocked(StressError):  # noqa: N818 - it says what happened
    """Another process holds a lock of the cache for too long."""


def cache_directory() -> Path:
    """The cache's directory. It is not created here: looking must leave no trace."""
    named = os.environ.get("AIRFLOW_STRESS_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").expanduser().absolute() / "airflow-stress"


@contextmanager
def exclusive(lock_file: Path, what: str, timeout_s: float, waiting: Callable[[str], None]) -> Iterator[int]:
    """Hold `lock_file`, so that only one process does `what`.

    The kernel owns the lock, so that it ends with its holder. Yields the file's descriptor: a child that inherits it
    keeps the lock held for as long as it works, even if we are killed.
    """
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("a") as handle:
        deadline = time.monotonic() + timeout_s
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CacheLocked(
                        f"waited {timeout_s:.0f} s for another process to {what}; "
                        f"if there is none, remove {lock_file} and try again"
                    ) from None
                if not told:
                    waiting(f"waiting for another process to {what}")
                    told = True
                time.sleep(_LOCK_POLL_S)
        try:
            yield handle.fileno()
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def quiet(_line: str) -> None:
    """Discard progress messages."""


def write_atomically(path: Path, text: str) -> None:
    """Put `text` at `path` whole or not at all: a reader, or a crash in the middle, never sees half a file.

    Raises OSError that names `path`, and leaves nothing, if the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
