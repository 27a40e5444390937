"""PostgreSQL's settings, the same on every runtime. docker-compose.yml is tested against them.

- **The log is the evidence.** JSON, one file that is never rotated. Every lock wait longer than `deadlock_timeout` is
  logged, and `deadlock_timeout` is short, so that the server finds a deadlock, and logs both of its statements, before
  the load has moved on. Components are distinguished by `application_name`.
- **Every change is read**: `wal_level=logical`, for the change feed (`stress/observers/feed/`). A slot whose reader has
  stopped is given up before the log that is kept for it fills the disk.
- **The data is thrown away**, so durability is off. Commits are faster than on a durable server, so locks are held for
  a shorter time until the commit: the races have less room than in production, not more.
"""

from __future__ import annotations

from dataclasses import dataclass

LOG_FILE = "postgresql.json"
"""The log's name in `log_directory`."""

_DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


@dataclass(frozen=True)
class PostgresSettings:
    """What may differ from run to run."""

    deadlock_timeout_ms: int = 100
    durable: bool = False
    """Commits wait for the disk, as by PostgreSQL's defaults. A run's data is thrown away, so that it need not."""
    max_connections: int = 300
    shared_buffers_mb: int = 128
    """Of the embedded server; 128 is PostgreSQL's default."""
    port: int | None = None
    """A fixed port; None: a free one."""

    @property
    def summary(self) -> str:
        """The settings that a reader of a report has to know."""
        return f"deadlock_timeout {self.deadlock_timeout_ms} ms, fsync {'on' if self.durable else 'off'}"


def server_settings(settings: PostgresSettings | None = None) -> dict[str, str]:
    """Name to value, as postgresql.conf has them. A server's addresses, paths and time zone are its runtime's own."""
    chosen = settings or PostgresSettings()
    return {
        "max_connections": str(chosen.max_connections),
        **({} if chosen.durable else dict.fromkeys(_DURABILITY, "off")),
        "wal_level": "logical",
        "max_wal_senders": "4",
        "max_slot_wal_keep_size": "2GB",
        "max_wal_size": "1GB",
        "checkpoint_timeout": "30min",
        "autovacuum_naptime": "15s",
        "jit": "off",
        "logging_collector": "on",
        "log_destination": "jsonlog",
        "log_filename": LOG_FILE.replace(".json", ".log"),  # PostgreSQL replaces the suffix by .json
        "log_file_mode": "0644",
        "log_rotation_age": "0",
        "log_rotation_size": "0",
        "log_checkpoints": "off",
        "log_lock_waits": "on",
        "deadlock_timeout": f"{chosen.deadlock_timeout_ms}ms",
        "track_activity_query_size": "16kB",  # the log cuts off the statement of a deadlock's other side at this size
    }
