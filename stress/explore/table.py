"""The table of a schedule, from the line of a release's process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stress.explore import catalogue  # noqa: F401 - makes `airflow_stress_explore` importable

from airflow_stress_explore.core.schedule_table import Row, render  # isort: skip
from airflow_stress_explore.sql.statement_text import shorten  # isort: skip


def table(line: Mapping[str, Any], width: int | None = None) -> str:
    """The actors side by side, time going down."""
    return render([Row(**step) for step in line["steps"]], width, shorten)
