"""Fixtures for every unit test."""

from __future__ import annotations

import pytest


@pytest.fixture
def fit_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which a run can start, whatever the machine that runs the tests lacks."""
    monkeypatch.setattr("stress.plan.machine_faults", lambda _port: [])
