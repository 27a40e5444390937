"""Answers of the Execution API as the workers record them: sums, acknowledged successes, double starts."""

from __future__ import annotations

import json

import pytest

from stress import events
from stress.metrics import API_BUCKETS_S
from stress.observers.execution_api import ExecutionApi
from tests.unit.clusters import PaperCluster


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
    (event,) = [event for event in ExecutionApi(cluster).poll() if isinstance(event, events.ApiAnswered)]
    assert event.code == 0


def test_an_acknowledged_success_has_the_times_of_its_request(cluster: PaperCluster) -> None:
    cluster.leave("execution_api/a.jsonl", reported("kept"))
    found = [event for event in ExecutionApi(cluster).poll() if isinstance(event, events.SuccessAcknowledged)]
    assert found == [events.SuccessAcknowledged(task_instances=["kept"], answered=[(1.4, 1.5)])]


def test_each_refusal_names_its_task_and_request(cluster: PaperCluster) -> None:
    cluster.leave("execution_api/a.jsonl", answer(0.5, "run", 409), answer(0.5), answer(0.1, code=500))
    found = [event for event in ExecutionApi(cluster).poll() if isinstance(event, events.WorkerRefused)]
    assert [(event.id, event.operation, event.code) for event in found] == [("x", "run", 409), ("x", "success", 500)]


def test_no_answers_are_no_events(cluster: PaperCluster) -> None:
    assert list(ExecutionApi(cluster).poll()) == []


def test_a_recorded_report_is_told_with_its_task_and_the_time_of_its_request(cluster: PaperCluster) -> None:
    record = {"t": 7.5, "op": "failed", "code": 204, "s": 0.5, "ti": "i", "reported": "failed", "try": 2, "dag": "d"}
    resumed = {"run": "r", "task": "t", "next_method": "__fail__", "next_event": True}
    cluster.leave("execution_api/a.jsonl", json.dumps(record | resumed))
    found = [event for event in ExecutionApi(cluster).poll() if isinstance(event, events.ReportAnswered)]
    assert found == [
        events.ReportAnswered(
            at=7.5,
            sent_at=7.0,
            id="i",
            dag="d",
            run="r",
            task="t",
            try_number=2,
            state="failed",
            code=204,
            next_method="__fail__",
            next_event=True,
        )
    ]
