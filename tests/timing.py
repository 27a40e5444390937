"""Waiting for conditions, and the CPU time of commands. The only place where these suites sleep in order to wait."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], timeout_s: float, *, every_s: float = 0.1) -> bool:
    """Whether a condition holds before the time is over."""
    deadline = time.monotonic() + timeout_s
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(every_s)
    return holds


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until a condition holds; fail with what was awaited."""
    assert eventually(condition, timeout_s), f"waited {timeout_s:g} s for {what}"


def cpu_s_of_children() -> float:
    """The CPU seconds of all child processes that have ended: on a busy machine, unlike the time, it stays the same."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
