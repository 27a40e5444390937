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
from airflow_stress_explore.core.shrink import Shortest, Shrinker
from airflow_stress_explore.core.walks import PctScheduler, UniformScheduler, Walks

__all__ = [
    "BadSchedule",
    "ChoiceSearch",
    "Failure",
    "Found",
    "Move",
    "NamedOptions",
    "PctScheduler",
    "RandomScheduler",
    "ReplayByName",
    "ReplayByPosition",
    "Row",
    "ScriptedScheduler",
    "Search",
    "SerialScheduler",
    "Shortest",
    "Shrinker",
    "Tried",
    "UniformScheduler",
    "Walks",
    "decode",
    "encode",
    "render",
]
