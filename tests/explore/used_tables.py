"""Starting states with a given order of rows, made in a table that was used before; run by a release's Python.

    python used_tables.py INGREDIENT...

PostgreSQL may remove dead row versions from a page once no transaction that was open at their death is left, in any
database. So each state is made several times: with more and fewer dead versions in the table, while a transaction is
open in another database, which ends just before one of the updates that give the rows their places. Prints a JSON
object for each: the number of versions, the number of the update, and the error or null.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import psycopg2
from airflow import settings
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import event

import airflow_stress_explore.airflow.operations  # noqa: F401 - registers the ingredients
from airflow_stress_explore.airflow import fixtures
from airflow_stress_explore.airflow.process import database_of_process, snapshot_of_process

VERSIONS = (3, 6)
UPDATES = range(1, 6)
"""Among them are cases in which updates that move rows use places of dead versions."""
USE = "UPDATE task_instance SET pid = {number} WHERE task_id = 'extract'"


class OtherDatabase:
    """A transaction in another database that ends before an update of task instances."""

    def __init__(self, update: int) -> None:
        url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2://", "postgresql://")
        self._connection = psycopg2.connect(url, dbname="postgres")
        self._connection.cursor().execute("SELECT pg_current_xact_id()")
        self._left = update

    def before_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(f"UPDATE {TaskInstance.__tablename__} "):
            if self._left == 0:
                self._connection.rollback()
            self._left -= 1

    def close(self) -> None:
        self._connection.close()


def main(*state: str) -> None:
    """Print what each case leads to."""
    import airflow

    database, snapshot = database_of_process(), snapshot_of_process()
    snapshot.restore_first()
    fixtures.build(state, airflow.__version__)
    for versions in VERSIONS:
        for update in UPDATES:
            other = OtherDatabase(update)
            event.listen(settings.engine, "before_cursor_execute", other.before_statement)
            try:
                for number in range(versions):
                    database.query(USE.format(number=number))
                snapshot.restore_first()
                fixtures.build(state, airflow.__version__)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                problem = None
            finally:
                event.remove(settings.engine, "before_cursor_execute", other.before_statement)
                other.close()
            print(json.dumps({"versions": versions, "update": update, "error": problem}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
