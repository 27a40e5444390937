"""Run a script of this directory with a release's Python, on a PostgreSQL with the release's tables."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from stress.arms.environments import environment_for
from stress.arms.releases import check
from stress.cluster.supervision.guard import RunGuard
from stress.explore import lab
from stress.layout import MOUNTED

TIMEOUT_S = 300


def run_script(version: str, name: str, *arguments: str) -> list[dict[str, Any]]:
    """The JSON objects that the script prints, one a line."""
    release = check(version)
    environment = environment_for(release, progress=print)
    guard = RunGuard()
    server = lab.LabServer(guard.directory / "postgres", guard.label, lab.kept_directory(release, print))
    try:
        server.start()
        done = subprocess.run(
            [str(environment.python), str(Path(__file__).with_name(name)), *arguments],
            env={
                **lab.airflow_variables(environment, guard.directory / "home", server),
                "PYTHONPATH": str(MOUNTED),
            },
            cwd=guard.label.anchor,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        server.stop()
        guard.close()
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
