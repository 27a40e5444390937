"""Operators, triggers and callbacks of the stress DAGs: runs inside Airflow, imports nothing of the harness."""
