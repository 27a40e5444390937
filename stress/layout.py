"""Where things are in the project: what is mounted into Airflow, and how the fixes' catalogue is found.

What a run needs beside the package stands in one directory, ROOT: `dags/`, `fixes/`, `requirements/`, `dashboards/`,
the compose file and the Dockerfile. In a checkout (`make install` installs it in place) that is the checkout, from
which a Helm chart or a compose file mounts them, too. A wheel holds the same files inside the package:
`hatch_build.py` puts them there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
BUNDLE = PACKAGE / "project"
"""Only in a wheel that is installed."""
ROOT = BUNDLE if BUNDLE.is_dir() else PACKAGE.parent
DAGS = ROOT / "dags"
FIXES = ROOT / "fixes"
REQUIREMENTS = ROOT / "requirements"
MOUNTED = PACKAGE / "mounted"
"""What runs inside Airflow beside DAGs and fixes."""
LOCUSTFILE = PACKAGE / "locustfile.py"
HOLLOW_EXECUTOR = "airflow_stress_hollow.HollowExecutor"


def seen_outside(path: Path) -> Path:
    """A path in the runs' folder as it is outside of the container: a printed path must open on the user's machine."""
    runs = os.environ.get("AIRFLOW_STRESS_RUNS")
    if runs is None or not path.is_relative_to(ROOT / "runs"):
        return path
    return Path(runs) / path.relative_to(ROOT / "runs")


def hand_over(directory: Path) -> None:
    """In the container the harness is root; give its files in the runs' folder to the owner of the checkout."""
    owner = DAGS.stat()
    for path in (directory.parent, directory, *directory.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def make_fixes_importable() -> None:
    """Let the harness import `airflow_stress_fixes`, which Airflow's processes import from the mounted directory."""
    if str(FIXES) not in sys.path:
        sys.path.append(str(FIXES))
