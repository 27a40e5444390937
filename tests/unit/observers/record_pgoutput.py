"""Records what a real server sends, for `test_feed_pgoutput.py`.

    .venv/bin/python -m tests.unit.observers.record_pgoutput

The sessions below make every message of protocol version 1: two kinds of UPDATE, a value that is stored out of line
and not sent again, an origin, and a type of the database's own. The file has one message a line, in hexadecimal.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import psycopg

from stress.cluster.postgres import Postgres
from stress.cluster.supervision.guard import RunGuard
from stress.observers.feed.rows import Table
from stress.observers.feed.server import PUBLICATION
from stress.observers.feed.stream import Stream

RECORDED = Path(__file__).with_name("recorded_pgoutput.txt")

_TABLES = f"""
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TABLE ti (id int PRIMARY KEY, state text, note text, mood mood);
ALTER TABLE ti ALTER note SET STORAGE EXTERNAL;
CREATE TABLE queue (asset int, dag text, PRIMARY KEY (asset, dag));
CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES;
SELECT pg_replication_origin_create('elsewhere');
"""
_TRANSACTIONS = (
    "INSERT INTO ti VALUES (1, 'queued', repeat('x', 3000), 'calm'), (2, NULL, 'grün', NULL)",
    "UPDATE ti SET state = 'running' WHERE id = 1",
    "UPDATE ti SET id = 3 WHERE id = 2",
    "SELECT pg_logical_emit_message(true, 'in', 'side'); INSERT INTO queue VALUES (7, 'd')",
    "SELECT pg_logical_emit_message(false, 'out', 'side')",
    "DELETE FROM queue",
    "SELECT pg_replication_origin_session_setup('elsewhere'); UPDATE ti SET mood = 'wild' WHERE id = 1",
    "TRUNCATE ti, queue",
)
_MESSAGES = 32
"""What these transactions give; the recorder waits for all."""


def main() -> None:
    """Start a server, make the transactions, write the file."""
    os.environ["AIRFLOW_STRESS_CACHE"] = tempfile.mkdtemp()
    guard = RunGuard()
    server = Postgres(guard.directory / "postgres", guard.label)
    stream = None
    try:
        server.start()
        server.create_database("recorded")
        with psycopg.connect(server.dsn("recorded", "record"), autocommit=True) as connection:
            connection.execute(_TABLES.encode())
            stream = Stream(server.dsn("recorded", "record"), "recorder")
            stream.begin((Table("ti", ("id", "state", "note", "mood"), ("id",)),))
            for transaction in _TRANSACTIONS:
                connection.execute(transaction.encode())
            connection.execute("SET synchronous_commit = on; CREATE TABLE flushed ()")
        messages: list[bytes] = []
        deadline = time.monotonic() + 20
        while len(messages) < _MESSAGES and time.monotonic() < deadline:
            messages += [message.data for message in stream.received()]
            time.sleep(0.1)
        RECORDED.write_text("".join(f"{message.hex()}\n" for message in messages))
        print(f"{len(messages)} messages of {server.version()}: {b''.join(m[:1] for m in messages).decode()}")
    finally:
        if stream is not None:
            stream.close()
        server.stop()
        guard.close()


if __name__ == "__main__":
    main()
