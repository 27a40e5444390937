"""When an api-server of several processes is ready: one of them answers for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.cluster.health import api_starting

SERVES = "2026-11-25T11:18:13Z [info     ] Application startup complete.  [uvicorn.error]\n"


@pytest.mark.parametrize(("lines", "workers", "ready"), [(2, 3, False), (3, 3, True), (0, 1, True)])
def test_an_api_server_starts_until_each_process_serves(lines: int, workers: int, ready: bool, tmp_path: Path) -> None:
    log = tmp_path / "api-server.log"
    log.write_text("Workers: 3\n" + SERVES * lines)
    assert api_starting(log, workers) == (frozenset() if ready else {"api-server"})


def test_an_api_server_without_a_log_starts(tmp_path: Path) -> None:
    assert api_starting(tmp_path / "api-server.log", 2) == {"api-server"}
