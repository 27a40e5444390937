"""Receipts of what ran inside Airflow, and the reports of its fixes."""

from __future__ import annotations

import json

import pytest

from stress import events
from stress.observers.receipts import FixReports, Receipts
from stress.observers.tail import SourceLost
from tests.unit.clusters import PaperCluster

RECEIPT = {"t": 1.5, "component": "triggerer-1", "pid": 7}
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
