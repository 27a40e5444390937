"""For every suite of the harness: the developer's own settings are taken away before anything reads them, and property
tests have no limits of wall-clock time, which a loaded machine exceeds whatever the code does.

tests/airflow runs inside the releases' environments, has its own pytest.ini and its own conftest.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

KEPT = {"AIRFLOW_STRESS_CACHE", "AIRFLOW_STRESS_CHART", "AIRFLOW_STRESS_HELM"}
"""Where the environments of the releases are: making them again would take minutes, and changes no result. So are the
chart and Helm, which are checked by hash and by what they render."""

_OTHERS = ("AIRFLOW", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGSERVICE")

for _name in list(os.environ):
    if _name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_STEP_SUMMARY") or (_name.startswith(_OTHERS) and _name not in KEPT):
        del os.environ[_name]

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
