"""Where things are in the project: what is mounted into Airflow, and how the fixes' catalogue is found.

The harness runs from a checkout (`make install` installs it in place), because `dags/` and `fixes/` are mounted from
there, as a Helm chart or a compose file mounts them.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DAGS = ROOT / "dags"
FIXES = ROOT / "fixes"
HOLLOW = ROOT / "stress" / "load" / "mounted"
LOCUSTFILE = ROOT / "stress" / "load" / "locustfile.py"
HOLLOW_EXECUTOR = "airflow_stress_hollow.HollowExecutor"


def make_fixes_importable() -> None:
    """Let the harness import `airflow_stress_fixes`, which Airflow's processes import from the mounted directory."""
    if str(FIXES) not in sys.path:
        sys.path.append(str(FIXES))
