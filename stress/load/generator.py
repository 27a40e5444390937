"""The load generator's process: Locust, started with the block's cluster and held back until that is ready.

    load = LocustLoad(cluster, label, directory, settings, seed=7)
    load.spawn()                     # it imports while the cluster starts
    load.release()                   # it may begin: with triggers in it, it first awaits that both triggerers answer
    while not load.begun(): ...
    load.ask_to_end()                # it finishes its requests and writes its statistics
    load.end()

A block uses only `Load`.
"""

from __future__ import annotations

import csv
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stress import events, layout
from stress.cluster.base import Cluster
from stress.cluster.supervision import procfs
from stress.cluster.supervision.processes import Command, Label, Process, spawn, stop_all
from stress.load.settings import LoadSettings
from stress.observers.tail import Tail


class Load(ABC):
    """What produces a block's load."""

    @abstractmethod
    def spawn(self) -> None:
        """Start, and wait for `release`."""

    @abstractmethod
    def release(self) -> None:
        """The cluster is ready."""

    @abstractmethod
    def begun(self) -> bool:
        """Whether the load has begun."""

    @abstractmethod
    def exit_code(self) -> int | None:
        """None while it runs."""

    @abstractmethod
    def log_tail(self) -> str:
        """The end of its log."""

    @abstractmethod
    def ask_to_end(self) -> None:
        """Stop the load. It may take a few seconds to finish its requests."""

    @abstractmethod
    def wait(self, seconds: float) -> int | None:
        """Wait at most so long for its end; its exit code, None if it still runs."""

    @abstractmethod
    def end(self) -> None:
        """End it in any state. May be called at any time, and twice."""

    @abstractmethod
    def reports(self) -> Iterator[events.LoadReported]:
        """Its own statistics, once it has ended."""

    @abstractmethod
    def processes(self) -> set[int]:
        """The ids of its processes."""


class LocustLoad(Load):
    """Locust in a separate process."""

    def __init__(self, cluster: Cluster, label: Label, directory: Path, settings: LoadSettings, seed: int) -> None:
        self._cluster = cluster
        self._label = label
        self._directory = directory
        self._settings = settings
        self._seed = seed
        self._process: Process | None = None
        self._go = directory / "load.go"
        # Its first action records that the load begins (the order of the record is the order of the actions), or, with
        # triggers in the load, its second.
        self._actions = Tail(cluster.shared / "load" / "actions.jsonl")

    def spawn(self) -> None:
        plan_file = self._directory / "load.json"
        plan_file.write_bytes(msgspec.json.encode(self._settings))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "LOCUST"))}
        users = str(len(self._settings.users))
        arguments: list[str] = [
            *(sys.executable, "-m", "locust", "--locustfile", str(layout.LOCUSTFILE)),
            *("--headless", "--host", self._cluster.api_url, "--only-summary", "--loglevel", "WARNING"),
            *("--users", users, "--spawn-rate", users),
            *("--stop-timeout", "3"),
            *("--csv", str(self._directory / "locust"), "--exit-code-on-error", "0"),
        ]
        command = Command(
            name="locust",
            arguments=arguments,
            environment={
                **kept,
                "PYTHONPATH": str(layout.PACKAGE.parent),
                "PYTHONWARNINGS": "ignore",
                "AIRFLOW_STRESS_SHARED": str(self._cluster.shared),
                "AIRFLOW_STRESS_LOAD": str(plan_file),
                "AIRFLOW_STRESS_LOAD_GO": str(self._go),
                "AIRFLOW_STRESS_SEED": str(self._seed),
                "NO_PROXY": "127.0.0.1,localhost",
            },
            log_file=self._directory / "locust.log",
        )
        self._process = spawn(command, self._label)

    def release(self) -> None:
        self._go.touch()

    def begun(self) -> bool:
        return self._actions.path.exists() and any(b'"load_started"' in line for line in self._actions.lines())

    def exit_code(self) -> int | None:
        return self._running().exit_code()

    def log_tail(self) -> str:
        return self._running().log_tail()

    def ask_to_end(self) -> None:
        self._running().send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int | None:
        return self._running().wait(seconds)

    def end(self) -> None:
        if self._process is not None:
            self._process.wait(1.0)
            stop_all([self._process], grace_s=2.0)

    def reports(self) -> Iterator[events.LoadReported]:
        path = self._directory / "locust_stats.csv"
        if path.exists():
            with path.open(newline="") as file:
                yield from map(report_of, csv.DictReader(file))

    def processes(self) -> set[int]:
        return self._process.tree(procfs.table()) if self._process is not None else set()

    def _running(self) -> Process:
        assert self._process is not None, "spawn comes first"
        return self._process


def report_of(row: Mapping[str, Any]) -> events.LoadReported:
    """A row of Locust's statistics."""
    return events.LoadReported(
        name=f"{row['Type']} {row['Name']}".strip(),
        requests=int(row["Request Count"]),
        failures=int(row["Failure Count"]),
        median_ms=float(row["Median Response Time"] or 0),
        p95_ms=float(row["95%"] or 0) if row["95%"] != "N/A" else 0.0,
    )
