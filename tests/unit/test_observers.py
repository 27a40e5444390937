"""Observers of files: component logs, receipts, reports of the fixes, Execution API answers, the load's actions."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from stress import events
from stress.metrics import API_BUCKETS_S
from stress.observers.component_logs import ComponentLogs
from stress.observers.execution_api import ExecutionApi
from stress.observers.load import Load
from stress.observers.receipts import FixReports, Receipts
from stress.observers.tail import SourceLost
from tests.unit.clusters import PaperCluster

RECEIPT = {"t": 1.5, "component": "triggerer-1", "pid": 7}


@pytest.fixture
def cluster(tmp_path: Path) -> PaperCluster:
    """A cluster on paper whose components have begun their logs."""
    cluster = PaperCluster(tmp_path)
    for component in cluster.components:
        component.log_file.touch()
    return cluster


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


# -- component logs --------------------------------------------------------------------------------------------------


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


# -- receipts --------------------------------------------------------------------------------------------------------

RECEIPTS = (
    (
        "callbacks-triggerer-1-7.jsonl",
        {"deadline": "d", "trigger": 12},
        events.CallbackExecuted(at=1.5, component="triggerer-1", pid=7, deadline="d", trigger=12),
    ),
    (
        "cancellations-triggerer-1-7.jsonl",
        {"trigger": 12, "in_request": True, "next_frame": 402},
        events.CancellationDelivered(
            at=1.5, component="triggerer-1", pid=7, trigger=12, in_request=True, next_frame=402
        ),
    ),
    (
        "answers-triggerer-1-7.jsonl",
        {"trigger": 12, "state": "failed"},
        events.CancelledAnswer(at=1.5, component="triggerer-1", pid=7, trigger=12, state="failed", error=None),
    ),
    (
        "answers-triggerer-1-7.jsonl",
        {"trigger": 12, "error": "RuntimeError: x"},
        events.CancelledAnswer(at=1.5, component="triggerer-1", pid=7, trigger=12, state=None, error="RuntimeError: x"),
    ),
    (
        "misrouted-triggerer-1-7.jsonl",
        {"trigger": 9, "expected": "r1 t", "got": "{}"},
        events.ReplyMisrouted(at=1.5, component="triggerer-1", pid=7, trigger=9, expected="r1 t", got="{}"),
    ),
    (
        "progress-triggerer-1-7.jsonl",
        {"polls": 40, "active": 8},
        events.TriggersProgressed(at=1.5, component="triggerer-1", pid=7, polls=40, active=8),
    ),
)


@pytest.fixture
def receipts(cluster: PaperCluster) -> Receipts:
    """An observer that has begun."""
    receipts = Receipts(cluster)
    receipts.start()
    return receipts


@pytest.mark.parametrize(("name", "facts", "expected"), RECEIPTS, ids=[type(event).__name__ for *_, event in RECEIPTS])
def test_a_receipt_is_an_event(
    cluster: PaperCluster, receipts: Receipts, name: str, facts: dict[str, object], expected: events.Event
) -> None:
    cluster.leave(f"receipts/{name}", json.dumps(RECEIPT | facts))
    assert list(receipts.poll()) == [expected]


def test_a_receipt_is_told_once(cluster: PaperCluster, receipts: Receipts) -> None:
    cluster.leave("receipts/progress-t-7.jsonl", json.dumps(RECEIPT | {"polls": 1, "active": 1}))
    list(receipts.poll())
    assert list(receipts.poll()) == []


def test_a_receipt_of_an_unknown_family_is_not_passed_over(cluster: PaperCluster, receipts: Receipts) -> None:
    cluster.leave("receipts/novelties-t-7.jsonl", json.dumps(RECEIPT))
    with pytest.raises(SourceLost, match="unknown family: novelties"):
        list(receipts.poll())


def test_a_callback_that_can_t_name_its_deadline_is_not_counted_with_others(
    cluster: PaperCluster, receipts: Receipts
) -> None:
    cluster.leave("receipts/callbacks-t-7.jsonl", json.dumps(RECEIPT | {"deadline": "None", "trigger": 1}))
    with pytest.raises(SourceLost, match="does not say which deadline"):
        list(receipts.poll())


def test_a_receipt_that_can_t_be_read_is_not_passed_over(cluster: PaperCluster, receipts: Receipts) -> None:
    cluster.leave("receipts/callbacks-t-7.jsonl", "{torn")
    with pytest.raises(ValueError, match="Expecting property name"):
        list(receipts.poll())


def test_receipts_whose_directory_is_moved_away_are_lost(cluster: PaperCluster, receipts: Receipts) -> None:
    (cluster.shared / "receipts").rename(cluster.shared / "elsewhere")
    with pytest.raises(SourceLost, match="the directory of the receipts is not there any more"):
        list(receipts.poll())


def test_receipts_without_a_shared_directory_are_lost(cluster: PaperCluster) -> None:
    cluster.shared.rmdir()
    with pytest.raises(SourceLost, match="the shared directory shared is not there"):
        Receipts(cluster).start()


def test_components_of_another_user_may_leave_receipts(cluster: PaperCluster, receipts: Receipts) -> None:
    assert receipts.name == "receipts"
    assert (cluster.shared / "receipts").stat().st_mode & 0o777 == 0o777


def test_what_a_process_says_of_its_fixes_is_an_event(cluster: PaperCluster) -> None:
    report = {"component": "scheduler-1", "pid": 7, "fix": "deadline_claim", "status": "loaded", "detail": None}
    cluster.leave("fixes/7.jsonl", json.dumps(report))
    assert list(FixReports(cluster).poll()) == [
        events.FixReported(component="scheduler-1", pid=7, fix="deadline_claim", status="loaded", detail="")
    ]


# -- Execution API and load ------------------------------------------------------------------------------------------


def answer(seconds: float, operation: str = "success", code: int = 204) -> str:
    return json.dumps({"t": 1.0, "op": operation, "code": code, "s": seconds, "ti": "x"})


def test_answers_are_summed_by_operation_and_code(cluster: PaperCluster) -> None:
    cluster.leave("execution_api/a.jsonl", answer(0.25), answer(0.5), answer(0.1, code=500))
    cluster.leave("execution_api/b.jsonl", answer(0.125), answer(0.2, "run", 200))
    found = [event for event in ExecutionApi(cluster).poll() if isinstance(event, events.ApiAnswered)]
    assert [(event.operation, event.code, event.count, event.seconds) for event in found] == [
        ("success", 204, 3, 0.875),
        ("success", 500, 1, 0.1),
        ("run", 200, 1, 0.2),
    ]


@pytest.mark.parametrize(
    ("seconds", "place"),
    [(0.0, 0), (API_BUCKETS_S[0], 0), (API_BUCKETS_S[0] + 0.001, 1), (30.0, len(API_BUCKETS_S) - 1), (31.0, -1)],
)
def test_a_duration_falls_into_the_bucket_that_it_is_at_most(cluster: PaperCluster, seconds: float, place: int) -> None:
    cluster.leave("execution_api/a.jsonl", answer(seconds))
    (event,) = ExecutionApi(cluster).poll()
    assert isinstance(event, events.ApiAnswered)
    expected = [0] * (len(API_BUCKETS_S) + 1)
    expected[place] = 1
    assert event.buckets == expected


def reported(ti: str, code: int = 204, state: str | None = "success") -> str:
    """A line of a worker's record of a state update."""
    return json.dumps({"t": 1.5, "op": "success", "code": code, "s": 0.1, "ti": ti, "reported": state})


def acknowledged(cluster: PaperCluster) -> list[str]:
    found = ExecutionApi(cluster).poll()
    return [ti for event in found if isinstance(event, events.SuccessAcknowledged) for ti in event.task_instances]


def test_successes_that_a_worker_was_told_are_stored_are_kept(cluster: PaperCluster) -> None:
    cluster.leave("execution_api/a.jsonl", reported("kept"), reported("refused", 409), reported("broken", 500))
    cluster.leave("execution_api/b.jsonl", reported("too", 200), reported("no answer", 0), reported("other", state="x"))
    cluster.leave("execution_api/c.jsonl", answer(0.1, "run", 200), deferred("d", 1.5))
    assert acknowledged(cluster) == ["kept", "too"]


def started(ti: str, at: float, worker: int, *, code: int = 200, attempt: int = 1, host: str = "scheduler-1-9") -> str:
    """A line of a worker's record of a start."""
    identity = [host, "hollow", worker]
    return json.dumps({"t": at, "op": "run", "code": code, "s": 0.1, "ti": ti, "try": attempt, "worker": identity})


def deferred(ti: str, at: float, *, code: int = 204, seconds: float = 0.1) -> str:
    return json.dumps({"t": at, "op": "defer", "code": code, "s": seconds, "ti": ti})


def double_starts(cluster: PaperCluster) -> list[events.DoubleStart]:
    observer = ExecutionApi(cluster)
    list(observer.poll())
    return [event for event in observer.finish() if isinstance(event, events.DoubleStart)]


def test_two_workers_that_both_start_one_try_are_a_double_start(cluster: PaperCluster) -> None:
    cluster.leave("execution_api/b.jsonl", started("t", 12.0, 1, host="scheduler-2-9"))
    cluster.leave("execution_api/a.jsonl", started("t", 11.0, 1), started("other", 13.0, 2))
    (double,) = double_starts(cluster)
    assert (double.id, double.try_number) == ("t", 1)
    assert (double.first.hostname, double.first.at) == ("scheduler-1-9", 11.0)
    assert (double.second.hostname, double.second.at) == ("scheduler-2-9", 12.0)


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(started("t", 12.0, 2, code=409), id="was refused"),
        pytest.param(started("t", 12.0, 2, code=500), id="failed"),
        pytest.param(started("t", 12.0, 2, attempt=2), id="is another try"),
        pytest.param(started("t", 12.0, 1), id="is the first one's repetition"),
    ],
)
def test_a_second_start_is_no_double_start_if_it(cluster: PaperCluster, second: str) -> None:
    cluster.leave("execution_api/a.jsonl", started("t", 11.0, 1), second)
    assert double_starts(cluster) == []


@pytest.mark.parametrize(
    ("deferral", "doubles"),
    [
        pytest.param(deferred("t", 11.5), 0, id="stored"),
        pytest.param(deferred("t", 11.5, code=500), 0, id="perhaps stored"),
        pytest.param(deferred("t", 12.1, seconds=0.5), 0, id="answered after the resumption"),
        pytest.param(deferred("t", 11.5, code=409), 1, id="refused"),
        pytest.param(deferred("other", 11.5), 1, id="of another task"),
        pytest.param(deferred("t", 12.5), 1, id="after the second start"),
    ],
)
def test_a_task_may_be_started_again_after_its_deferral(cluster: PaperCluster, deferral: str, doubles: int) -> None:
    cluster.leave("execution_api/a.jsonl", started("t", 11.0, 1), deferral)
    cluster.leave("execution_api/b.jsonl", started("t", 12.0, 2))
    assert len(double_starts(cluster)) == doubles


def test_the_bounds_of_the_buckets_are_in_the_event(cluster: PaperCluster) -> None:
    cluster.leave("execution_api/a.jsonl", answer(0.1))
    (event,) = ExecutionApi(cluster).poll()
    assert isinstance(event, events.ApiAnswered)
    assert event.bounds == list(API_BUCKETS_S)


def test_an_answer_that_never_came_is_code_0(cluster: PaperCluster) -> None:
    cluster.leave("execution_api/a.jsonl", answer(60.0, code=0))
    (event,) = ExecutionApi(cluster).poll()
    assert isinstance(event, events.ApiAnswered)
    assert event.code == 0


def test_no_answers_are_no_events(cluster: PaperCluster) -> None:
    assert list(ExecutionApi(cluster).poll()) == []


def test_what_the_load_did_is_an_event(cluster: PaperCluster) -> None:
    cluster.leave("load/actions.jsonl", json.dumps({"t": 1.5, "action": "dag_changed", "count": 1}))
    cluster.leave("load/other", "not an action")
    assert list(Load(cluster).poll()) == [events.LoadActed(at=1.5, action="dag_changed", count=1)]


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
