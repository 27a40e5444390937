"""A trigger's event, and who has had its task meanwhile: only a task that still waits for the event gets it."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from dag_data import NOW, add_expired_deadlines, running_run, task_instance_ids
from parties import Party
from psycopg2.extras import Json
from sqlalchemy import select
from sqlalchemy.orm.exc import StaleDataError

FIX = "trigger_event_claim"
WRITES_TASK_INSTANCE = r"^UPDATE task_instance SET"
RESUMED = ("scheduled", None, "execute_complete", "it happened")


def deferred(*, tasks: int = 1) -> tuple[int, list[Any]]:
    """A trigger, and task instances that are deferred on it; gives their ids."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    instances = task_instance_ids(running_run(tasks=tasks))
    with create_session() as session:
        trigger = Trigger(classpath="callbacks.Trigger", kwargs={})
        session.add(trigger)
        session.flush()
        for id_ in instances:
            instance = session.get(TaskInstance, id_)
            instance.dag_model.relative_fileloc = "raced.py"  # as the DAG processor stores it
            instance.state, instance.trigger_id = "deferred", trigger.id
            instance.next_method, instance.next_kwargs = "execute_complete", {}
        return trigger.id, instances


def hand_in(trigger: int, **arguments: Any) -> None:
    """What a triggerer does with an event."""
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import TriggerEvent

    Trigger.submit_event(trigger, TriggerEvent("it happened"), **arguments)


def fail(trigger: int, **arguments: Any) -> None:
    """What a triggerer does with a trigger that failed."""
    from airflow.models.trigger import Trigger

    Trigger.submit_failure(trigger, ["it broke"], **arguments)


def end(trigger: int, **arguments: Any) -> None:
    """What a triggerer does with an event that ends the task."""
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import TaskSuccessEvent

    Trigger.submit_event(trigger, TaskSuccessEvent(), **arguments)


def mark(database: Any, instance: Any) -> None:
    """Somebody marks the task failed."""
    database.query("UPDATE task_instance SET state = 'failed' WHERE id = %s RETURNING id", str(instance))


def states(database: Any) -> list[str]:
    """Of the run's task instances, by task."""
    return [row[0] for row in database.query("SELECT state FROM task_instance ORDER BY task_id")]


def stored(database: Any) -> tuple[Any, ...]:
    """State, trigger, next method and event of the one task instance."""
    ((state, trigger, method, arguments),) = database.query(
        "SELECT state, trigger_id, next_method, next_kwargs FROM task_instance"
    )
    return state, trigger, method, (arguments or {}).get("__var", arguments or {}).get("event")


def between(database: Any, submit: Callable[[int], None], trigger: int, meanwhile: Callable[[], None]) -> Party:
    """Submit, and do something when the task instances are read and not written yet; fixed, it has to wait."""
    triggerer = Party("triggerer", lambda: submit(trigger)).stop("before", WRITES_TASK_INSTANCE).run_to_stop()
    other = Party("other", meanwhile).start()
    other.wait_until(lambda: bool(other.pid and database.blockers(other.pid)), "to wait for the triggerer")
    triggerer.resume().wait()
    other.wait()
    return triggerer


@pytest.mark.parametrize("submit", [hand_in, fail, end])
def test_a_marked_task_stays_marked(database: Any, mounted: Any, submit: Callable[[int], None]) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    trigger, (instance,) = deferred()

    def somebody_marks() -> None:
        with create_session() as session:
            session.get(TaskInstance, instance, with_for_update={"of": TaskInstance}).state = "failed"

    between(database, submit, trigger, somebody_marks)
    assert states(database) == ["success" if submit is end else "scheduled"], "stock overwrites the mark"

    database.query("UPDATE task_instance SET state = 'deferred', trigger_id = %s RETURNING id", trigger)
    with mounted(FIX) as status:
        assert status == {FIX: "loaded"}
        between(database, submit, trigger, somebody_marks)
    assert states(database) == ["failed"], "whoever marks after the event has the last word"


def holding(database: Any, statement: str, submit: Callable[[int], None], trigger: int, *values: Any) -> Party:
    """Submit while somebody has the row and has not committed yet; gives the triggerer after both have ended."""
    with transaction(database, statement, *values):
        triggerer = Party("triggerer", lambda: submit(trigger)).start().wait_blocked(database)
    return triggerer.wait()


@contextlib.contextmanager
def transaction(database: Any, statement: str, *values: Any) -> Iterator[None]:
    """Somebody's transaction: one statement, and a commit at the block's end."""
    somebody = psycopg2.connect(database.url().replace("+psycopg2", ""))
    try:
        with somebody, somebody.cursor() as cursor:
            cursor.execute(statement, values)
            yield
    finally:
        somebody.close()


@pytest.mark.parametrize("submit", [hand_in, fail, end])
def test_an_event_waits_for_a_mark_and_is_for_nobody_then(
    database: Any, mounted: Any, submit: Callable[[int], None]
) -> None:
    trigger, (instance,) = deferred()
    marking = "UPDATE task_instance SET state = 'failed' WHERE id = %s"
    with mounted(FIX):
        assert holding(database, marking, submit, trigger, str(instance)).error is None
    assert stored(database) == ("failed", trigger, "execute_complete", None)


def test_an_event_is_not_lost_when_the_row_was_only_held(database: Any, mounted: Any) -> None:
    trigger, (instance,) = deferred()
    with mounted(FIX):
        touching = "UPDATE task_instance SET priority_weight = 7 WHERE id = %s"
        assert holding(database, touching, hand_in, trigger, str(instance)).error is None
    assert stored(database) == RESUMED


def test_a_cleared_task_does_not_end_the_triggerer(database: Any, mounted: Any) -> None:
    trigger, (instance,) = deferred()
    # As clearing does: the next try has another id.
    clearing = "UPDATE task_instance SET id = gen_random_uuid(), state = NULL, trigger_id = NULL WHERE id = %s"
    assert isinstance(holding(database, clearing, hand_in, trigger, str(instance)).error, StaleDataError)

    database.query("UPDATE task_instance SET state = 'deferred', trigger_id = %s RETURNING id", trigger)
    with mounted(FIX):
        ((now,),) = database.query("SELECT id FROM task_instance")
        assert holding(database, clearing, hand_in, trigger, str(now)).error is None
    assert states(database) == [None]


def test_a_task_that_waits_for_its_next_trigger_does_not_get_the_last_ones_event(database: Any, mounted: Any) -> None:
    """It was resumed and has deferred again while the event of the first trigger was handed in a second time."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    trigger, (instance,) = deferred()
    with create_session() as session:
        following = Trigger(classpath="callbacks.Trigger", kwargs={})
        session.add(following)
        session.flush()
        next_id = following.id
    again = "UPDATE task_instance SET trigger_id = %s WHERE id = %s"
    with mounted(FIX):
        assert holding(database, again, hand_in, trigger, next_id, str(instance)).error is None
    assert stored(database) == ("deferred", next_id, "execute_complete", None)


def test_of_several_tasks_on_a_trigger_those_that_wait_are_resumed(database: Any, mounted: Any) -> None:
    trigger, instances = deferred(tasks=3)
    with mounted(FIX):
        marking = "UPDATE task_instance SET state = 'failed' WHERE id = %s"
        assert holding(database, marking, hand_in, trigger, str(instances[1])).error is None
    assert states(database) == ["scheduled", "failed", "scheduled"]


def test_a_session_that_has_the_task_already_reads_it_anew(database: Any, mounted: Any) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    trigger, (instance,) = deferred()
    with mounted(FIX), create_session() as session:
        held = session.get(TaskInstance, instance)
        arguments = {"__type": "dict", "__var": {"own": 1}}
        changing = "UPDATE task_instance SET next_kwargs = %s WHERE id = %s RETURNING id"
        database.query(changing, Json(arguments), str(instance))
        hand_in(trigger, session=session)
        session.commit()
        assert held.state == "scheduled"
    ((kwargs,),) = database.query("SELECT next_kwargs FROM task_instance")
    assert kwargs.get("__var", kwargs) == {"own": 1, "event": "it happened"}, "what was stored meanwhile is kept"


def test_only_the_task_instance_is_locked(database: Any, mounted: Any) -> None:
    """Not its dag run, which a scheduler may hold."""
    trigger, _ = deferred()
    with mounted(FIX), transaction(database, "SELECT 1 FROM dag_run FOR UPDATE"):
        triggerer = Party("triggerer", lambda: hand_in(trigger)).start().wait_blocked(database)
        assert triggerer.ended, "it waits for the run"
    assert triggerer.error is None
    locking = [statement for statement in triggerer.statements if " FOR " in statement]
    assert len(locking) == 1
    assert locking[0].endswith("FOR NO KEY UPDATE OF task_instance")
    assert stored(database) == RESUMED


def test_assets_of_a_trigger_still_hear_of_its_event(database: Any, mounted: Any) -> None:
    from airflow.models.asset import AssetModel
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    with create_session() as session:
        trigger = Trigger(classpath="callbacks.Trigger", kwargs={})
        asset = AssetModel(name="watched", uri="test://watched/")
        session.add_all([trigger, asset])
        session.flush()
        try:
            from airflow.models.asset import AssetWatcherModel

            session.add(AssetWatcherModel(name="watcher", asset_id=asset.id, trigger_id=trigger.id))
        except ImportError:  # until 3.1
            trigger.assets.append(asset)
        id_ = trigger.id
    with mounted(FIX):
        hand_in(id_)
    assert database.query("SELECT extra ->> 'payload' FROM asset_event") == [("it happened",)]


def test_a_callback_of_a_trigger_still_hears_of_its_event(database: Any, mounted: Any) -> None:
    from airflow.models.deadline import Deadline
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session

    add_expired_deadlines(running_run(), 1)
    with create_session() as session:
        for deadline in session.scalars(select(Deadline)):
            deadline.handle_miss(session)
    ((trigger,),) = database.query("SELECT id FROM trigger")
    with mounted(FIX):
        Trigger.submit_event(trigger, TriggerEvent({"state": "success", "body": "done"}))
    # Until 3.1 a deadline keeps its callback's state itself.
    own = "callback_state" in Deadline.__table__.columns
    told = "SELECT callback_state FROM deadline" if own else "SELECT state FROM callback"
    assert database.query(told) == [("success",)]


@pytest.mark.parametrize("submit", [hand_in, fail])
def test_the_session_may_be_given_as_before(database: Any, mounted: Any, submit: Callable[..., None]) -> None:
    from airflow.utils.session import create_session

    trigger, _ = deferred()
    with mounted(FIX), create_session() as session:
        before = list(session.dispatch.do_orm_execute)  # since 3.4 all sessions have a listener
        submit(trigger, session=session)
        after = list(session.dispatch.do_orm_execute)
        assert after == before, "what listens to a session for the call is gone after it"
        assert states(database) == ["deferred"], "it is the caller's to commit"
    assert states(database) == ["scheduled"]


def test_an_event_after_the_timeout_is_for_nobody(database: Any, mounted: Any) -> None:
    trigger, (instance,) = deferred()
    sweep = (
        "UPDATE task_instance SET state = 'scheduled', next_method = '__fail__', trigger_id = NULL, "
        "scheduled_dttm = %s WHERE id = %s"
    )
    when = NOW + datetime.timedelta(seconds=1)
    with mounted(FIX):
        assert holding(database, sweep, hand_in, trigger, when, str(instance)).error is None
    assert stored(database) == ("scheduled", None, "__fail__", None)


def supervisor(**queues: list[Any]) -> Any:
    """A triggerer's supervisor without its processes, with these events and failures waiting."""
    from collections import deque
    from types import SimpleNamespace

    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor as Stock

    entries = {name: deque(queues.get(name, ())) for name in ("events", "failed_triggers")}
    found: Any = SimpleNamespace(**entries, job=None, team_name=None, persisted_event_seqs=deque())
    for name in ("handle_events", "handle_failed_triggers", "on_trigger_event", "on_trigger_failure"):
        if hasattr(Stock, name):
            setattr(found, name, getattr(Stock, name).__get__(found))
    return found


def entry(trigger: int) -> Any:
    """An event, as the supervisor's queue has it."""
    from airflow.jobs import triggerer_job_runner
    from airflow.triggers.base import TriggerEvent

    event = TriggerEvent("it happened")
    kind = getattr(triggerer_job_runner, "TriggerEventEntry", None)  # since 3.3
    return (trigger, event) if kind is None else kind(trigger_id=trigger, event=event, persist_seq=None)


@pytest.mark.parametrize("queue", ["events", "failed_triggers"])
def test_the_supervisor_does_not_wait_and_loses_nothing(database: Any, mounted: Any, queue: str) -> None:
    """Somebody clears many tasks; the triggerer hands in other events meanwhile, and this one in a later round."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    held, (first, second) = deferred(tasks=2)
    with create_session() as session:
        session.add(other := Trigger(classpath="callbacks.Trigger", kwargs={}))
        session.flush()
        free = other.id
    database.query("UPDATE task_instance SET trigger_id = %s WHERE id = %s RETURNING 1", free, str(second))
    waiting = [entry(id_) if queue == "events" else (id_, ["it broke"]) for id_ in (held, free)]
    handle = {"events": "handle_events", "failed_triggers": "handle_failed_triggers"}[queue]
    with mounted(FIX):
        triggerer = supervisor(**{queue: waiting})
        round_of = getattr(triggerer, handle)
        with transaction(database, "UPDATE task_instance SET priority_weight = 7 WHERE id = %s", str(first)):
            party = Party("triggerer", round_of).start().wait_blocked(database)
            assert party.ended, "it waits for the row"
            party.result()
            assert list(getattr(triggerer, queue)) == waiting[:1], "its place in the queue keeps its trigger known"
            assert states(database) == ["deferred", "scheduled"]
        round_of()
    assert not getattr(triggerer, queue)
    assert states(database) == ["scheduled", "scheduled"]


@pytest.mark.usefixtures("database")
def test_several_tasks_are_locked_in_the_order_of_their_ids(mounted: Any) -> None:
    trigger, _ = deferred(tasks=3)
    with mounted(FIX):
        triggerer = Party("triggerer", lambda: hand_in(trigger)).start()
        triggerer.result()
    (locking,) = [" ".join(statement.split()) for statement in triggerer.statements if " FOR " in statement]
    assert locking.endswith("ORDER BY task_instance.id FOR NO KEY UPDATE OF task_instance")
