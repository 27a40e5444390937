"""What a block's database gets for the feed, before the load: a publication of the columns of interest, and a trigger a
table that names the writer. Both are a part of the database, and go with it.

The publication lists columns, so that the server neither sends nor logs the others for us. It has only tables with a
primary key, and always the key: PostgreSQL refuses Airflow's own updates of a published table without one.

The writer of a transaction is not in the log: PostgreSQL records a transaction's id and no session. The trigger writes
the session's `application_name` into the log, as a message of the same transaction (`pg_logical_emit_message`). It
locks nothing and needs no round trip; what it costs is in docs/explanation/change-feed.md. It runs once a transaction:
a setting that is local to the transaction says that it has run. A savepoint that is rolled back takes back the message
and the setting alike. It does not run for a statement of a transaction that has changed nothing yet: the message would
give that transaction an id and a commit record.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from stress.observers.feed.rows import WRITER_PREFIX, Table
from stress.observers.feed.tables import COLUMNS

PUBLICATION = "airflow_stress"

_LOCK_TIMEOUT_S = 5

# The columns of each table in their order, and whether they are part of the primary key. A generated column cannot be
# published.
_COLUMNS = """
SELECT c.relname, a.attname, a.attnum = ANY (i.indkey)
FROM pg_class c
JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname = ANY (%s)
ORDER BY c.relname, a.attnum
"""
_WRITER_FUNCTION = sql.SQL("""
CREATE OR REPLACE FUNCTION public.airflow_stress_writer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_logical_emit_message(true, {}, current_setting('application_name')),
            set_config('airflow_stress.writer', 'named', true);
    RETURN NULL;
END $$
""").format(sql.Literal(WRITER_PREFIX))
_WRITER_TRIGGER = """
CREATE OR REPLACE TRIGGER airflow_stress_writer AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.{}
FOR EACH STATEMENT
WHEN (current_setting('airflow_stress.writer', true) IS DISTINCT FROM 'named'
      AND pg_current_xact_id_if_assigned() IS NOT NULL)
EXECUTE FUNCTION public.airflow_stress_writer()
"""


def publish(dsn: str) -> tuple[Table, ...]:
    """Make the publication and the triggers; return what is published. Raises psycopg.Error."""
    with psycopg.connect(
        dsn, autocommit=True, connect_timeout=_LOCK_TIMEOUT_S, options=f"-c lock_timeout={_LOCK_TIMEOUT_S}s"
    ) as connection:
        tables = _tables(connection)
        connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(PUBLICATION)))
        connection.execute(_WRITER_FUNCTION)
        for table in tables:
            # One transaction a table: it waits for the writers of that table only, and holds no other lock meanwhile.
            connection.execute(sql.SQL(_WRITER_TRIGGER).format(sql.Identifier(table.name)))
        connection.execute(
            sql.SQL("CREATE PUBLICATION {} FOR TABLE {}").format(
                sql.Identifier(PUBLICATION), sql.SQL(", ").join(_published(table) for table in tables)
            )
        )
    return tables


def _tables(connection: psycopg.Connection) -> tuple[Table, ...]:
    columns: dict[str, list[str]] = {}
    keys: dict[str, list[str]] = {}
    for table, column, key in connection.execute(_COLUMNS, [list(COLUMNS)]):
        if key or column in COLUMNS[table]:
            columns.setdefault(table, []).append(column)
        if key:
            keys.setdefault(table, []).append(column)
    return tuple(Table(name, tuple(found), tuple(keys[name])) for name, found in columns.items())


def _published(table: Table) -> sql.Composed:
    return sql.SQL("public.{} ({})").format(sql.Identifier(table.name), names(table.columns))


def names(columns: Sequence[str]) -> sql.Composed:
    """Columns as SQL has them."""
    return sql.SQL(", ").join(sql.Identifier(column) for column in columns)
