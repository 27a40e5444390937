"""As much of a SQLAlchemy connection as the toy programs use, over psycopg2.

`beside_frontrun.py` copies this module into the environment of frontrun. frontrun does not trace libraries, so this
module's own lines and attributes are no steps and no shared memory. The statements that it runs are traced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import psycopg2


@cache
def _with_psycopg2_parameters(statement: str) -> str:
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", statement)


class Psycopg2Connection:
    """A connection of one worker."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._cursor = self._connection.cursor()

    def execute(self, clause: Any, parameters: Mapping[str, Any] | None = None) -> Psycopg2Connection:
        """Run a statement."""
        self._cursor.execute(_with_psycopg2_parameters(clause.text), parameters)
        return self

    def scalar(self) -> Any:
        """The first column of the next row, or None."""
        row = self._cursor.fetchone()
        return row[0] if row is not None else None

    scalar_one = scalar

    def commit(self) -> None:
        """As SQLAlchemy's."""
        self._connection.commit()

    def close(self) -> None:
        """As SQLAlchemy's."""
        self._connection.close()
