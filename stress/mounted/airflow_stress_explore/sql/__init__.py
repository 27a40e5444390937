"""Schedules of SQL statements on a real PostgreSQL. The public interface; see README.md."""

from airflow_stress_explore.sql.outside import beginning, crash_of, passing
from airflow_stress_explore.sql.statement_text import shorten
from airflow_stress_explore.sql.testbed import Actor, Execution, Testbed

__all__ = ["Actor", "Execution", "Testbed", "beginning", "crash_of", "passing", "shorten"]
