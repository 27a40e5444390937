"""The `database` service of docker-compose.yml: creates the stock cluster's database, if it is not there.

    python -m stress.cluster.compose.database NAME

The database is named after the release, because a release cannot migrate the database of a newer one: `airflow db
migrate` of 3.2.1 does not know the revisions of 3.3.2. PostgreSQL's image creates a database only when it initializes
its volume, so that another release's would be missing.
"""

from __future__ import annotations

import sys

import psycopg
from psycopg import sql

from stress.cluster.compose import secrets

_CONNECT_TIMEOUT_S = 10


def create(name: str, address: str) -> bool:
    """Create a database on the server at an address. False if it was there. Raises psycopg.Error."""
    with psycopg.connect(address, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is not None:
            return False
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return True


if __name__ == "__main__":
    address = f"postgresql://{secrets.USER}:{secrets.database_password()}@{secrets.HOST}/postgres"
    create(sys.argv[1], address)
