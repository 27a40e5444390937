"""The data of a history: every kind is known to the reader, and comes back as it was written."""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from stress import events
from stress.history import Journal, read

KINDS: tuple[type[events.Event], ...] = get_args(events.AnyEvent)


def example(kind: type[Any]) -> Any:
    """An instance with a value in every field that tells it from its default."""
    return kind(**{name: value_of(hint) for name, hint in get_type_hints(kind).items() if name != "__match_args__"})


def value_of(hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        return value_of(next(part for part in get_args(hint) if part is not types.NoneType))
    origin = get_origin(hint)
    if origin in {list, tuple}:
        return origin(value_of(get_args(hint)[0]) for _ in range(2))
    if origin is Literal:
        return get_args(hint)[-1]
    if origin is dict:
        return {"a": value_of(get_args(hint)[1])}
    if isinstance(hint, type) and (issubclass(hint, msgspec.Struct) or dataclasses.is_dataclass(hint)):
        return example(hint)
    return {bool: True, int: 17, float: 2.5, str: 'ä "quoted"\n text'}[hint]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_comes_back_as_it_was_written(kind: type[events.Event], tmp_path: Path) -> None:
    event: events.AnyEvent = example(kind)
    journal = Journal(tmp_path / "h")
    journal.append(event, 1)
    journal.close()
    assert [entry.event for entry in read(tmp_path / "h").entries] == [event]


def test_every_event_is_known_to_the_reader() -> None:
    assert set(events.Event.__subclasses__()) == set(KINDS)


def test_every_kind_has_a_tag_of_its_own() -> None:
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_can_t_be_changed(kind: type[events.Event]) -> None:
    assert kind.__struct_config__.frozen


# Written by earlier versions: what is stored in a run's directory must stay readable for ever.
STORED = (
    (
        '{"kind":"transaction_committed","xid":7,"lsn":99,"at":1.5,"writer":"scheduler-1","changes":[{"table":'
        '"task_instance","op":"update","key":["t"],"columns":{"state":null}}]}',
        events.TransactionCommitted(
            xid=7,
            lsn=99,
            at=1.5,
            writer="scheduler-1",
            changes=(events.RowChange("task_instance", "update", ("t",), {"state": None}),),
        ),
    ),
    (
        '{"kind":"feed_ended","transactions":5,"changes":8,"bytes":900,"largest_lag_s":0.5}',
        events.FeedEnded(transactions=5, changes=8, bytes=900, largest_lag_s=0.5),
    ),
    ('{"kind":"block_started","arm":"stock"}', events.BlockStarted(arm="stock")),
    ('{"kind":"block_ended","complete":true}', events.BlockEnded(complete=True)),
    (
        '{"kind":"arm_planned","name":"stock","airflow":"3.2.1","fixes":[]}',
        events.ArmPlanned(name="stock", airflow="3.2.1", fixes=[]),
    ),
    (
        '{"kind":"callback_executed","at":1.5,"component":"triggerer-1","pid":7,"deadline":"d","trigger":null}',
        events.CallbackExecuted(at=1.5, component="triggerer-1", pid=7, deadline="d", trigger=None),
    ),
    (
        '{"kind":"frame_error","at":1.5,"component":"triggerer-1","error":"out_of_order","got":555,"expected":556,'
        '"line":"x"}',
        events.FrameError(at=1.5, component="triggerer-1", error="out_of_order", got=555, expected=556, line="x"),
    ),
    (
        '{"kind":"block_settled","seconds":3.0,"callbacks":1,"callbacks_unchanged_s":2.0,"callbacks_needed_s":27.0,'
        '"tasks":4,"tasks_unchanged_s":1.0,"tasks_needed_s":70.0}',
        events.BlockSettled(
            seconds=3.0,
            callbacks=1,
            callbacks_unchanged_s=2.0,
            callbacks_needed_s=27.0,
            tasks=4,
            tasks_unchanged_s=1.0,
            tasks_needed_s=70.0,
        ),
    ),
    (
        '{"kind":"deadlines_passed","deadlines":[{"id":"d","due_at":1.5,"handled":true,"state":"queued","trigger":7,'
        '"trigger_exists":true,"owner":"triggerer-1"}]}',
        events.DeadlinesPassed(
            deadlines=[
                events.PassedDeadline(
                    id="d",
                    due_at=1.5,
                    handled=True,
                    state="queued",
                    trigger=7,
                    trigger_exists=True,
                    owner="triggerer-1",
                )
            ]
        ),
    ),
    (
        '{"kind":"finite_tasks_counted","total":9,"unfinished":[{"id":"t","dag":"d","run":"r","task":"a",'
        '"try_number":1,"state":"queued","run_state":"running"}],"runs":[{"dag":"d","run":"r","state":"running",'
        '"by_state":{"queued":1}}]}',
        events.FiniteTasksCounted(
            total=9,
            unfinished=[
                events.UnfinishedTask(
                    id="t", dag="d", run="r", task="a", try_number=1, state="queued", run_state="running"
                )
            ],
            runs=[events.UnfinishedRun(dag="d", run="r", state="running", by_state={"queued": 1})],
        ),
    ),
    (
        '{"kind":"api_answered","operation":"run","code":200,"count":1,"seconds":0.02,'
        '"buckets":[0,0,1,0,0,0,0,0,0,0,0,0,0]}',
        events.ApiAnswered(
            operation="run",
            code=200,
            count=1,
            seconds=0.02,
            buckets=[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            bounds=[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
        ),
    ),
    (
        '{"kind":"success_acknowledged","task_instances":["a","b"]}',
        events.SuccessAcknowledged(task_instances=["a", "b"]),
    ),
)


@pytest.mark.parametrize(("stored", "event"), STORED, ids=[event.__class__.__name__ for _, event in STORED])
def test_a_stored_event_is_still_understood(stored: str, event: events.Event) -> None:
    assert msgspec.json.decode(stored, type=events.AnyEvent) == event
