"""Receipts as the DAGs leave them, inside Airflow's processes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_stress_dags import receipts


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory that the harness mounts."""
    monkeypatch.setattr(receipts, "SHARED", str(tmp_path))
    monkeypatch.setattr(receipts, "COMPONENT", "triggerer-1")
    monkeypatch.setattr(receipts, "_files", {})
    return tmp_path


def left(shared: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (shared / "receipts" / name).read_text().splitlines()]


def test_a_receipt_says_who_left_it_when(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_stress_dags.receipts.time", SimpleNamespace(time=lambda: 1.5))
    receipts.leave("callbacks", deadline="d", trigger=7)
    assert left(shared, f"callbacks-triggerer-1-{os.getpid()}.jsonl") == [
        {"t": 1.5, "component": "triggerer-1", "pid": os.getpid(), "deadline": "d", "trigger": 7}
    ]


def test_receipts_of_a_family_are_appended_in_order(shared: Path) -> None:
    for number in range(3):
        receipts.leave("progress", polls=number)
    found = left(shared, f"progress-triggerer-1-{os.getpid()}.jsonl")
    assert [receipt["polls"] for receipt in found] == [0, 1, 2]


def test_each_family_has_a_file_of_its_own(shared: Path) -> None:
    receipts.leave("callbacks")
    receipts.leave("progress")
    assert len(list((shared / "receipts").iterdir())) == 2


def test_a_receipt_is_in_the_file_at_once(shared: Path) -> None:
    receipts.leave("callbacks", deadline="d")
    assert left(shared, f"callbacks-triggerer-1-{os.getpid()}.jsonl")


def test_a_receipt_is_one_write(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda _file, data: writes.append(data))
    receipts.leave("callbacks", deadline="d")
    assert shared.is_dir()
    assert [data.count(b"\n") for data in writes] == [1]


def test_what_was_left_before_is_kept(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts.leave("callbacks", deadline="a")
    monkeypatch.setattr(receipts, "_files", {})
    receipts.leave("callbacks", deadline="b")
    assert len(left(shared, f"callbacks-triggerer-1-{os.getpid()}.jsonl")) == 2


def test_a_forked_process_writes_a_file_of_its_own(shared: Path) -> None:
    receipts.leave("callbacks", deadline="parent")
    child = os.fork()
    if child == 0:
        try:
            receipts.leave("callbacks", deadline="child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert left(shared, f"callbacks-triggerer-1-{child}.jsonl")[0]["pid"] == child
    assert len(left(shared, f"callbacks-triggerer-1-{os.getpid()}.jsonl")) == 1


def test_outside_the_harness_nothing_is_written(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "SHARED", None)
    receipts.leave("callbacks", deadline="d")
    assert list(shared.iterdir()) == []
