"""The core of the explorer: search, schedulers, schedule strings and tables. It knows neither SQL nor asyncio."""

from airflow_stress_explore.core.choice_search import ChoiceSearch, Found
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedule import BadSchedule, decode, encode
from airflow_stress_explore.core.schedule_table import Row, render
from airflow_stress_explore.core.schedulers import (
    Move,
    NamedOptions,
    RandomScheduler,
    ReplayByName,
    ReplayByPosition,
    ScriptedScheduler,
    SerialScheduler,
)
from airflow_stress_explore.core.search import Search, Tried

__all__ = [
    "BadSchedule",
    "ChoiceSearch",
    "Failure",
    "Found",
    "Move",
    "NamedOptions",
    "RandomScheduler",
    "ReplayByName",
    "ReplayByPosition",
    "Row",
    "ScriptedScheduler",
    "Search",
    "SerialScheduler",
    "Tried",
    "decode",
    "encode",
    "render",
]
