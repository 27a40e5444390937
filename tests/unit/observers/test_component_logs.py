"""Component logs: errors of the triggerers' frames, dead runners, and logs that cannot be read."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from stress import events
from stress.observers.component_logs import ComponentLogs
from stress.observers.tail import SourceLost
from tests.unit.clusters import PaperCluster


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def logs(cluster: PaperCluster) -> ComponentLogs:
    """An observer that has begun."""
    logs = ComponentLogs(cluster)
    logs.start()
    return logs


def test_an_out_of_order_frame_is_told_with_both_ids_and_its_time(cluster: PaperCluster, logs: ComponentLogs) -> None:
    line = "2026-11-21T08:33:11.355105Z [error    ] Response read out of order! Got frame.id=402, expect_id=403 [x]"
    append(cluster.log("triggerer-1"), line + "\n")
    assert list(logs.poll()) == [
        events.FrameError(
            at=1795249991.355105, component="triggerer-1", error="out_of_order", got=402, expected=403, line=line
        )
    ]


@pytest.mark.parametrize(
    "line",
    [
        "RuntimeError: <asyncio.locks.Lock object at 0x7f [unlocked]> is bound to a different event loop",
        "RuntimeError: Task <Task pending> got Future <Future pending> attached to a different loop",
    ],
)
def test_a_call_from_a_foreign_thread_is_told(cluster: PaperCluster, logs: ComponentLogs, line: str) -> None:
    append(cluster.log("triggerer-2"), line + "\n")
    (event,) = logs.poll()
    assert isinstance(event, events.FrameError)
    assert (event.component, event.error) == ("triggerer-2", "foreign_loop")


def test_a_failed_runner_is_told(cluster: PaperCluster, logs: ComponentLogs) -> None:
    append(cluster.log("triggerer-1"), "2026-11-21T08:33:11.355105Z [error    ] Trigger runner failed [x]\n")
    (event,) = logs.poll()
    assert isinstance(event, events.FrameError)
    assert event.error == "runner_failed"


def test_a_dead_runner_is_told(cluster: PaperCluster, logs: ComponentLogs) -> None:
    append(
        cluster.log("triggerer-1"),
        "2026-11-21T08:33:11.355105Z [error    ] Trigger runner process has died! Exiting. [x]\n",
    )
    assert list(logs.poll()) == [events.RunnerDied(at=1795249991.355105, component="triggerer-1")]


def test_an_ordinary_line_is_no_event(cluster: PaperCluster, logs: ComponentLogs) -> None:
    append(cluster.log("triggerer-1"), "2026-11-21T08:33:11.355105Z [info     ] 24 triggers currently running [x]\n")
    assert list(logs.poll()) == []


def test_what_was_logged_before_the_start_is_another_block_s(cluster: PaperCluster) -> None:
    append(cluster.log("triggerer-1"), "Trigger runner process has died! Exiting.\n")
    logs = ComponentLogs(cluster)
    logs.start()
    assert list(logs.poll()) == []


def test_logs_of_other_components_are_not_read(cluster: PaperCluster, logs: ComponentLogs) -> None:
    append(cluster.log("scheduler-1"), "Trigger runner process has died! Exiting.\n")
    assert list(logs.poll()) == []


def test_a_line_without_a_time_has_that_of_the_line_before_it(cluster: PaperCluster, logs: ComponentLogs) -> None:
    # In the future, since our own clock is the other bound.
    append(
        cluster.log("triggerer-1"),
        "2100-01-01T00:00:00.500000Z [error    ] Trigger failed [x]\n"
        "RuntimeError: Response read out of order! Got frame.id=1, expect_id=2\n",
    )
    (event,) = logs.poll()
    assert isinstance(event, events.FrameError)
    assert event.at == 4102444800.5


def test_a_line_without_a_time_was_written_after_the_last_look(
    cluster: PaperCluster, logs: ComponentLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(cluster.log("triggerer-1"), "2026-11-21T08:33:11.000000Z [info     ] the last word for a while [x]\n")
    now = 1795249991.0
    monkeypatch.setattr("stress.observers.component_logs.time", SimpleNamespace(time=lambda: now))
    list(logs.poll())
    append(cluster.log("triggerer-1"), "RuntimeError: Response read out of order! Got frame.id=1, expect_id=2\n")
    now = 1795250000.0
    list(logs.poll())
    append(cluster.log("triggerer-1"), "RuntimeError: Response read out of order! Got frame.id=3, expect_id=4\n")
    now = 1795250000.5
    (event,) = logs.poll()
    assert isinstance(event, events.FrameError)
    assert event.at == 1795250000.0


def test_a_long_line_is_cut(cluster: PaperCluster, logs: ComponentLogs) -> None:
    append(cluster.log("triggerer-1"), "Trigger runner failed " + "x" * 5000 + "\n")
    (event,) = logs.poll()
    assert isinstance(event, events.FrameError)
    assert len(event.line) == 400


def test_a_line_that_is_no_text_is_no_obstacle(cluster: PaperCluster, logs: ComponentLogs) -> None:
    with cluster.log("triggerer-1").open("ab") as file:
        file.write(b"\xff\xfe Trigger runner failed\n")
    assert len(list(logs.poll())) == 1


def test_a_log_that_is_moved_away_is_lost(cluster: PaperCluster, logs: ComponentLogs) -> None:
    cluster.log("triggerer-2").rename(cluster.directory / "elsewhere")
    with pytest.raises(SourceLost, match=r"triggerer-2\.log is not there"):
        list(logs.poll())


def test_a_log_that_was_never_there_is_lost(cluster: PaperCluster) -> None:
    cluster.log("triggerer-1").unlink()
    with pytest.raises(SourceLost, match=r"triggerer-1\.log is not there"):
        ComponentLogs(cluster).start()


def test_times_of_logs_are_in_utc(cluster: PaperCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "Asia/Tokyo")
    time.tzset()
    try:
        logs = ComponentLogs(cluster)
        logs.start()
        append(cluster.log("triggerer-1"), "1970-01-01T00:00:01.000000Z [x] Trigger runner process has died!\n")
        (event,) = logs.poll()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert isinstance(event, events.RunnerDied)
    assert event.at == 1.0
