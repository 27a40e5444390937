"""Receipts that callbacks and triggers write, and the fixes' reports of loading."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from stress import events
from stress.cluster.base import Cluster
from stress.observers.base import Observer
from stress.observers.tail import DirectoryTail, SourceLost


class Receipts(Observer):
    """Follows the receipts in the cluster's shared directory (see `dags/airflow_stress_dags/receipts.py`)."""

    name = "receipts"

    def __init__(self, cluster: Cluster) -> None:
        self._shared = cluster.shared
        self._tail = DirectoryTail(cluster.shared / "receipts")

    def start(self) -> None:
        if not self._shared.is_dir():
            raise SourceLost(f"the shared directory {self._shared.name} is not there")
        (self._shared / "receipts").mkdir(exist_ok=True)
        # Components may run as another user than the harness.
        (self._shared / "receipts").chmod(0o777)

    def poll(self) -> Iterator[events.AnyEvent]:
        if not (self._shared / "receipts").is_dir():
            raise SourceLost("the directory of the receipts is not there any more")
        for name, line in self._tail.lines():
            yield _event(name.partition("-")[0], json.loads(line))


def _event(family: str, receipt: dict[str, Any]) -> events.AnyEvent:
    at, component, pid = receipt["t"], receipt["component"], receipt["pid"]
    match family:
        case "callbacks":
            if receipt["deadline"] == "None":
                raise SourceLost("the receipt of a callback does not say which deadline it was for")
            return events.CallbackExecuted(
                at=at, component=component, pid=pid, deadline=receipt["deadline"], trigger=receipt["trigger"]
            )
        case "cancellations":
            return events.CancellationDelivered(
                at=at,
                component=component,
                pid=pid,
                trigger=receipt["trigger"],
                in_request=receipt["in_request"],
                next_frame=receipt["next_frame"],
            )
        case "answers":
            return events.CancelledAnswer(
                at=at,
                component=component,
                pid=pid,
                trigger=receipt["trigger"],
                state=receipt.get("state"),
                error=receipt.get("error"),
            )
        case "misrouted":
            return events.ReplyMisrouted(
                at=at,
                component=component,
                pid=pid,
                trigger=receipt["trigger"],
                expected=receipt["expected"],
                got=receipt["got"],
            )
        case "progress":
            return events.TriggersProgressed(
                at=at, component=component, pid=pid, polls=receipt["polls"], active=receipt["active"]
            )
    raise SourceLost(f"a receipt of an unknown family: {family}")


class FixReports(Observer):
    """Follows the reports of every Airflow process on the fixes that it was asked to load."""

    name = "fix_reports"

    def __init__(self, cluster: Cluster) -> None:
        self._tail = DirectoryTail(cluster.shared / "fixes")

    def poll(self) -> Iterator[events.AnyEvent]:
        for _, line in self._tail.lines():
            report = json.loads(line)
            yield events.FixReported(
                component=report["component"],
                pid=report["pid"],
                fix=report["fix"],
                status=report["status"],
                detail=report.get("detail") or "",
            )
