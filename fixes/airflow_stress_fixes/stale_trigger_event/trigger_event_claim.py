"""Fix ``trigger_event_claim``: an event only reaches a task that still waits for it (no thread; 3.1.0 to 3.4.0b2).

The defect
    ``Trigger.submit_event`` and ``Trigger.submit_failure`` select the task instances that are deferred on the
    trigger, without a lock, and write to them what they make of that read. All that is stored in between is lost
    (a *lost update*; the write names the row by its id alone). A task that a user marked failed is scheduled
    again. A task whose timeout a scheduler has just stored gets the event, too: the row is left with the method
    of the failure and the arguments of the event. A task that a user cleared has another id by then, and the
    write that finds no row raises ``StaleDataError``: nothing above it catches that, so the triggerer ends with
    all its triggers. (3.4 keeps the row of an archived attempt, so that the write finds it and changes an attempt that
    has ended.)

The invariant
    What an event or a failure of a trigger changes is a task instance that is, under its row lock, still deferred
    on that very trigger. The first one has it; an event that comes second is dropped, as one that comes
    after the task was taken has always been.

Why the obvious repair is wrong
    Looking at the state once more before the write only makes the window smaller. ``SKIP LOCKED``, as elsewhere in this
    class, would lose the event if the transaction that holds the row rolls back, or only touches it: the trigger has
    fired, and nothing fires it again. (It would be started a second time, because its task still waits, but what it
    has consumed from a queue is gone.) A plain wait for the lock stops the supervisor's only loop, heartbeat included:
    a triggerer whose tasks are cleared by the thousand falls silent, is taken for dead, and its triggers run twice.
    And a lock on all that the query reads locks the dag run with it (``TaskInstance.dag_run`` is joined), in the
    opposite order to the scheduler's: that is the deadlock of #66734.

How
    The two methods' first query gets ``ORDER BY id FOR NO KEY UPDATE OF task_instance``. PostgreSQL checks the
    condition again on what the other transaction has left (READ COMMITTED). It is the lock that their own UPDATE
    takes just afterwards, and the order in which the flush writes; an event that ends its task goes the same way. All
    else stays stock code, and so do the trigger's assets and callback: they get the event for any outcome of
    the tasks.

    In the supervisor's loop (``handle_events``, ``handle_failed_triggers``) the query has ``NOWAIT``. An event whose
    rows are locked goes back to the front of the queue, in order, and is handed in again in the next round, about a
    second later. The supervisor does not start a trigger again while its event is in that queue. So no event is
    lost and no round waits for a lock on a task instance, for any lock held and for any time.

What it leaves: an event waits as long as its rows are locked in each of the moments in which it is tried. A
``TaskFailedEvent`` with retries left gives the row another id (3.3.2), which needs a stronger lock than this one, as it
does on stock. The other writers' own reads without a lock (clearing's) stay theirs.

Its tests: ``stress repro stale_trigger_event`` (``tests/explore/test_reproducers.py``), and
``tests/airflow/test_stale_trigger_event_trigger_event_claim.py``.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.models.trigger"
_METHODS = ("submit_event", "submit_failure")
_RUNNER = "airflow.jobs.triggerer_job_runner"
_QUEUES = {"handle_events": "events", "handle_failed_triggers": "failed_triggers"}
_LOCK_NOT_AVAILABLE = "55P03"


class RowsLockedError(Exception):
    """Another transaction holds a task instance that waits for the event; hand the event in again later."""


_supervisor = threading.local()
"""``nowait`` is set in the thread of a triggerer's supervisor, while it hands in events."""


@contextlib.contextmanager
def first_select_locks(session: Any, entity: Any, with_row_locks: Callable[..., Any]) -> Iterator[None]:
    """In the block, the session's first SELECT of `entity` locks the rows that it finds, and reads them anew.

    Raises RowsLockedError in the supervisor, instead of waiting.
    """
    from sqlalchemy import event
    from sqlalchemy.exc import OperationalError

    waiting, nowait = True, getattr(_supervisor, "nowait", False)

    def lock(execution: Any) -> Any:
        nonlocal waiting
        mapper = execution.bind_mapper
        if not (waiting and execution.is_select and mapper is not None and mapper.class_ is entity):
            return None
        waiting = False
        statement = with_row_locks(execution.statement.order_by(entity.id), session, of=entity, nowait=nowait)
        # A session that has the object already would keep its old state, lock or not.
        execution.update_execution_options(populate_existing=True)
        try:
            return execution.invoke_statement(statement)
        except OperationalError as error:
            if nowait and getattr(error.orig, "pgcode", getattr(error.orig, "sqlstate", None)) == _LOCK_NOT_AVAILABLE:
                raise RowsLockedError from error
            raise

    event.listen(session, "do_orm_execute", lock)
    try:
        yield
    finally:
        event.remove(session, "do_orm_execute", lock)


def apply(module: ModuleType) -> None:
    """Wrap ``Trigger.submit_event`` and ``Trigger.submit_failure``, and the supervisor's loops that call them."""
    from airflow.utils.session import create_session
    from airflow.utils.sqlalchemy import with_row_locks

    trigger: Any = module.Trigger
    entity = module.TaskInstance
    stock = {name: getattr(trigger, name).__func__ for name in _METHODS}
    for name, method in stock.items():
        if "session" not in inspect.signature(method).parameters:
            raise TypeError(f"{name}{inspect.signature(method)} has no session")

    def claiming(method: Callable[..., Any]) -> Any:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def submit(*args: Any, **kwargs: Any) -> Any:
            call = signature.bind(*args, **kwargs)
            given = call.arguments.get("session")
            with contextlib.nullcontext(given) if given is not None else create_session() as session:
                call.arguments["session"] = session
                with first_select_locks(session, entity, with_row_locks):
                    return method(*call.args, **call.kwargs)

        return classmethod(submit)

    for name, method in stock.items():
        setattr(trigger, name, claiming(method))


def apply_to_supervisor(module: ModuleType) -> None:
    """Wrap the supervisor's loops over events and failures."""
    supervisor: Any = module.TriggerRunnerSupervisor
    loops = {name: vars(supervisor)[name] for name in _QUEUES}
    for name, loop in loops.items():
        setattr(supervisor, name, without_waiting(loop, _QUEUES[name]))


def without_waiting(loop: Callable[[Any], None], queue_name: str) -> Callable[[Any], None]:
    """Make a loop that takes each entry of a queue and hands it in leave those there whose rows are locked."""

    @functools.wraps(loop)
    def handle(supervisor: Any) -> None:
        queue, locked = getattr(supervisor, queue_name), []
        _supervisor.nowait = True
        try:
            while queue:
                entries = list(queue)
                try:
                    loop(supervisor)
                except RowsLockedError:
                    # The loop takes an entry from the queue before it hands it in: the last one taken is this one.
                    locked.append(entries[-len(queue) - 1])
        finally:
            _supervisor.nowait = False
            queue.extendleft(reversed(locked))

    return handle


FIX = Fix(
    place=8,
    summary="a trigger's event or failure only reaches a task that is, under its row lock, still deferred on it",
    components=("triggerer",),
    targets=(
        *(Target(_MODULE, f"Trigger.{name}") for name in _METHODS),
        Target(_MODULE, "handle_event_submit"),
        *(Target(_RUNNER, f"TriggerRunnerSupervisor.{name}") for name in _QUEUES),
        # Doesn't start a trigger again whose event is in the queue.
        Target(_RUNNER, "TriggerRunnerSupervisor.update_triggers"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
    also={_RUNNER: apply_to_supervisor},
)
