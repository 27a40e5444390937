"""Receipts: what the code under Airflow's control did, by its own report and not by Airflow's logs or tables.

A receipt is one JSON line, appended with a single `write` to its process's file in the shared directory that
the harness mounts (`AIRFLOW_STRESS_SHARED`). A line of less than a page that is written at once to a file opened for
appending is never torn, and a process that is killed loses none that it had written. Without the variable (the DAGs
are used outside the harness) nothing is written.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

SHARED = os.environ.get("AIRFLOW_STRESS_SHARED")
COMPONENT = os.environ.get("AIRFLOW_STRESS_COMPONENT", "unknown")

_files: dict[tuple[str, int], int] = {}


def leave(family: str, **facts: object) -> None:
    """Append one receipt of a `family` (a file name) with its time (unix, s), component and process id."""
    if not SHARED:
        return
    pid = os.getpid()
    file = _files.get((family, pid))
    if file is None:
        directory = Path(SHARED) / "receipts"
        directory.mkdir(parents=True, exist_ok=True)
        file = os.open(directory / f"{family}-{COMPONENT}-{pid}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        _files[family, pid] = file
    line = json.dumps({"t": time.time(), "component": COMPONENT, "pid": pid, **facts}, separators=(",", ":"))
    os.write(file, line.encode() + b"\n")
