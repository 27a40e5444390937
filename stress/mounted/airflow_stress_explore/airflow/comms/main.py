"""The process that plays pairs of the comms: `python -m airflow_stress_explore.airflow.comms.main`."""

from __future__ import annotations

import os
import sys
import tempfile

from airflow_stress_explore.airflow.comms.serve import explore, replay, repro
from airflow_stress_explore.core.protocol import serve


def main() -> int:
    """Serve one request."""
    with tempfile.TemporaryDirectory(prefix="airflow-stress-comms-") as home:
        # Comms need no database and no configuration; with a separate home Airflow makes none elsewhere.
        for name, value in {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }.items():
            os.environ.setdefault(name, value)
        return serve({"explore": explore, "replay": replay, "repro": repro}, lambda: None)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # all lines are written; an orderly exit of all of Airflow would take half a second
