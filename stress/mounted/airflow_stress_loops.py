"""Runs inside Airflow's scheduler: records how long each pass of the scheduling loop took.

Airflow times each pass for its metric `scheduler.scheduler_loop_duration`, also where metrics are off, with the timer
of its backend that discards all metrics. That timer is replaced by one that appends the time to a file. Turning the
metrics on instead would need a package that Airflow does not require, and adds queries to the loop.

A release whose backend is elsewhere, or an arm that has metrics turned on, leaves no records: the loop is not measured.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

LOOP = "scheduler.scheduler_loop_duration"
BACKENDS = ("airflow._shared.observability.metrics.base_stats_logger", "airflow.metrics.base_stats_logger")
"""The modules that have the backend: from 3.2 on, and before."""


def record_loops() -> bool:
    """Record every pass of this process's loop from now on; False where Airflow's backend was not found."""
    shared = os.environ.get("AIRFLOW_STRESS_SHARED")
    backend = _backend()
    if not shared or backend is None:
        return False
    directory = Path(shared) / "scheduler_loops"
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{os.environ.get('AIRFLOW_STRESS_COMPONENT', 'unknown')}-{os.getpid()}.jsonl"
    file = os.open(directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    plain = backend.timer

    class LoopTimer(type(plain())):  # type: ignore[misc]  # the class of the release that runs
        """Airflow's timer, whose time is written down when it stops."""

        def stop(self, send: bool = True) -> None:
            super().stop(send)
            # Airflow's durations are milliseconds.
            record = {"t": round(time.time(), 3), "s": round(self.duration / 1000, 6)}
            os.write(file, json.dumps(record, separators=(",", ":")).encode() + b"\n")

    def timer(stat: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return LoopTimer() if stat == LOOP else plain(stat, *args, **kwargs)

    backend.timer = staticmethod(timer)
    return True


def _backend() -> Any:
    """The class whose metrics are discarded, with its timer; None if there is none."""
    for name in BACKENDS:
        try:
            backend = importlib.import_module(name).NoStatsLogger
        except (ImportError, AttributeError):
            continue
        if hasattr(backend, "timer") and hasattr(backend.timer(), "stop"):
            return backend
    return None
