"""Two live triggerers, callback triggers: who owns them (#64710's second cause, #72848)."""

from __future__ import annotations

import datetime
import inspect
from typing import Any

import pytest
from dag_data import NOW, add_expired_deadlines, running_run
from parties import Party

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "callback_trigger_owner"
HEALTH_THRESHOLD_S = 3600
LOCKS_TRIGGERS = r"FROM trigger .*FOR NO KEY UPDATE"


@pytest.fixture
def defect(release: str) -> bool:
    """Whether this release offers a triggerer what a live one owns; repaired in 3.4 (#72848)."""
    return FIXES[FIX].fits(release) is Fit.APPLIES


def callback_triggers(database: Any, count: int) -> list[int]:
    """Ids of unassigned callback triggers, made by handling missed deadlines."""
    from airflow.models.deadline import Deadline
    from airflow.utils.session import create_session
    from sqlalchemy import select

    add_expired_deadlines(running_run(), count)
    with create_session() as session:
        for deadline in session.scalars(select(Deadline)):
            deadline.handle_miss(session)
    return [row[0] for row in database.query("SELECT id FROM trigger ORDER BY id")]


def triggerer(last_heartbeat: datetime.datetime = NOW) -> int:
    """The job of a triggerer; returns its id."""
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session

    with create_session() as session:
        job = Job(job_type="TriggererJob")
        job.latest_heartbeat = last_heartbeat
        session.add(job)
        session.flush()
        return int(job.id)


def assign(triggerer_id: int, capacity: int = 10) -> None:
    """What each triggerer does once a second."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    with create_session() as session:
        Trigger.assign_unassigned(triggerer_id, capacity, HEALTH_THRESHOLD_S, session=session)


def owners(database: Any) -> list[int | None]:
    """The owner of each trigger, by trigger id."""
    return [row[0] for row in database.query("SELECT triggerer_id FROM trigger ORDER BY id")]


def test_live_owner_keeps_its_callback_trigger(database: Any, mounted: Any, defect: bool) -> None:
    callback_triggers(database, 1)
    first, second = triggerer(), triggerer()

    assign(first)
    assign(second)
    has_it, other = (second, first) if defect else (first, second)
    assert owners(database) == [has_it], "stock takes the trigger from its live owner where it has the defect"

    with mounted(FIX) as status:
        assert status == {FIX: "loaded" if defect else "not_needed"}
        assign(other)
        assert owners(database) == [has_it]


def test_proposed_row_lock_leaves_the_triggerers_cause(database: Any, mounted: Any, defect: bool) -> None:
    callback_triggers(database, 1)
    first, second = triggerer(), triggerer()

    with mounted("proposed_deadline_row_lock"):
        assign(first)
        assign(second)

    assert owners(database) == [second if defect else first]


def test_dead_owner_loses_its_callback_trigger(database: Any, mounted: Any) -> None:
    callback_triggers(database, 1)
    dead, alive = triggerer(NOW - datetime.timedelta(seconds=2 * HEALTH_THRESHOLD_S)), triggerer()

    with mounted(FIX):
        assign(dead)
        assign(alive)

    assert owners(database) == [alive]


def test_running_callbacks_leave_the_limit_to_waiting_ones(database: Any, mounted: Any, defect: bool) -> None:
    """Capacity 4, two callbacks of its own running, two waiting: it must be offered the waiting ones."""
    ids = callback_triggers(database, 4)
    mine = triggerer()
    database.query("UPDATE trigger SET triggerer_id = %s WHERE id = ANY(%s) RETURNING id", mine, ids[:2])

    assign(mine, capacity=4)
    offered = [None, None] if defect else [mine, mine]
    assert owners(database) == [mine, mine, *offered], "stock is offered its own first where it has the defect"

    with mounted(FIX):
        assign(mine, capacity=4)
        assert owners(database) == [mine] * 4


@pytest.mark.parametrize("order", ["other holds the lock", "other has committed"])
def test_two_triggerers_at_once_give_one_owner(database: Any, mounted: Any, order: str) -> None:
    """The row lock and the condition together: whoever is first, the other one gets nothing."""
    callback_triggers(database, 1)
    first_id, second_id = triggerer(), triggerer()

    with mounted(FIX):
        first = Party("first", lambda: assign(first_id)).stop("after", LOCKS_TRIGGERS).run_to_stop()
        if order == "other has committed":
            first.resume().result()
        Party("second", lambda: assign(second_id)).start().result()
        first.resume().result()

    assert owners(database) == [first_id]


def test_signature_stays_what_callers_use(mounted: Any) -> None:
    from airflow.models.trigger import Trigger

    stock = inspect.signature(Trigger.get_sorted_triggers)
    with mounted(FIX):
        assert inspect.signature(Trigger.get_sorted_triggers) == stock
