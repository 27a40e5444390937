"""Fix ``trigger_event_claim``: an event only reaches a task that still waits for it (no thread; 3.1.0 to 3.3.2).

The defect
    ``Trigger.submit_event`` and ``Trigger.submit_failure`` select the task instances that are deferred on the
    trigger, without a lock, and write to them what they make of that read. Whatever is stored in between is lost
    (a *lost update*; the write names the row by its id alone). A task that somebody marked failed is scheduled
    again. A task whose timeout a scheduler has just stored gets the event, too: the row is left with the method
    of the failure and the arguments of the event. A task that somebody cleared has another id by then, and the
    write that finds no row raises ``StaleDataError``: nothing above it catches that, so the triggerer ends with
    all its triggers.

The invariant
    What an event or a failure of a trigger changes is a task instance that is, under its row lock, still deferred
    on that very trigger. Whoever came first has it; an event that comes second is for nobody, as one that comes
    after the task was taken has always been.

Why the obvious repair is wrong
    Looking at the state once more before the write only makes the window smaller. ``SKIP LOCKED`` or ``NOWAIT``, as
    elsewhere in this class, would lose the event if whoever holds the row rolls back, or only touches it: the
    trigger has fired, and nobody fires it again. And a lock on all that the query reads locks the dag run with it
    (``TaskInstance.dag_run`` is joined), in the opposite order to the scheduler's: that is the deadlock of #66734.

How
    The two methods' first query gets ``FOR NO KEY UPDATE OF task_instance``. The database waits for whoever has the
    row, and then checks the condition again on what that one has left (PostgreSQL in READ COMMITTED; MySQL documents
    the same of its locking reads, and was not tried). It is the lock that their own UPDATE takes just afterwards, so
    nobody waits for anything new, and nothing is locked in another order; an event that ends its task goes the same
    way. All else stays stock code, and so do the trigger's assets and callback: they are told of the event
    whatever became of the tasks.

What it leaves: several task instances on one trigger are locked in the order in which the query finds them, as they
were written before. A ``TaskFailedEvent`` with retries left gives the row another id (3.3.2), which needs a stronger
lock than this one, as it does on stock. The other writers' own reads without a lock (clearing's) stay theirs.

Its tests: ``stress repro stale_trigger_event`` (``tests/explore/test_twins.py``), and
``tests/airflow/test_trigger_event_claim.py``.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.models.trigger"
_METHODS = ("submit_event", "submit_failure")


@contextlib.contextmanager
def first_select_locks(session: Any, entity: Any, with_row_locks: Callable[..., Any]) -> Iterator[None]:
    """In the block, the session's first SELECT of `entity` locks the rows that it finds, and reads them anew."""
    from sqlalchemy import event

    waiting = True

    def lock(execution: Any) -> None:
        nonlocal waiting
        mapper = execution.bind_mapper
        if waiting and execution.is_select and mapper is not None and mapper.class_ is entity:
            waiting = False
            execution.statement = with_row_locks(execution.statement, session, of=entity)
            # A session that has the object already would keep its old state, lock or not.
            execution.update_execution_options(populate_existing=True)

    event.listen(session, "do_orm_execute", lock)
    try:
        yield
    finally:
        event.remove(session, "do_orm_execute", lock)


def apply(module: ModuleType) -> None:
    """Wrap ``Trigger.submit_event`` and ``Trigger.submit_failure``."""
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


FIX = Fix(
    name="trigger_event_claim",
    race="stale_trigger_event",
    thread=0,
    summary="a trigger's event or failure only reaches a task that is, under its row lock, still deferred on it",
    components=("triggerer",),
    targets=(
        *(Target(_MODULE, f"Trigger.{name}") for name in _METHODS),
        Target(_MODULE, "handle_event_submit"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.3.2", Fit.APPLIES),
    apply=apply,
)
