"""Fixtures for every unit test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def fit_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which a run can start, also if the machine that runs the tests lacks something."""
    monkeypatch.setattr("stress.plan.machine_faults", lambda _port: [])


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine with a free port and memory enough, and a working directory without runs; nothing may be left there."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("stress.plan.is_free", lambda _port: True)
    monkeypatch.setattr("stress.plan._memory", list)
    yield
    assert list((tmp_path / "here").iterdir()) == []
