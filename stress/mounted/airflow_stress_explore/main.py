"""The runner: reads one request, a JSON object on stdin, and writes JSON objects, one a line, on stdout.

    {"command": "explore", "pairs": ["..."], "preemptions": 2, "pruning": true, "budget_s": 60, "replay": null,
     "times": 1, "databases": []}
    {"command": "repro", "twins": ["..."], "times": 20}

Lines are of these kinds: `ready`, `schedule`, `unknown_operation`, `summary` and `failed`; each pair or twin ends with
a `summary` or with `unknown_operation`. Whatever Airflow prints goes to stderr: stdout is put aside before it is
imported.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> int:
    """Serve one request; 0 if it was served, 1 if the runner failed."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def emit(line: dict[str, Any]) -> None:
        out.write(json.dumps(line, default=str) + "\n")
        out.flush()

    import_airflow()
    emit({"kind": "ready"})
    request = json.loads(sys.stdin.readline())
    try:
        if request["command"] == "explore":
            from airflow_stress_explore.serve import explore

            explore(request, emit)
        else:
            from airflow_stress_explore.serve import repro

            repro(request, emit)
    except Exception as error:
        import traceback

        emit({"kind": "failed", "why": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})
        return 1
    return 0


def import_airflow() -> None:
    """What takes its time, and what fixes wait for: while this runs, the harness starts the server."""
    import importlib

    for module in (
        "airflow.jobs.scheduler_job_runner",
        "airflow.api_fastapi.execution_api.routes.task_instances",
        "airflow.models.deadline",
        "airflow.models.trigger",
    ):
        importlib.import_module(module)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # everything is said; taking all of Airflow apart again would take half a second
