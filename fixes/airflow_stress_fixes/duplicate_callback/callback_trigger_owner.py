"""Fix ``callback_trigger_owner``: a callback's trigger runs in one triggerer (#64710's second cause, #72848).

The defect
    Each triggerer asks ``Trigger.get_sorted_triggers`` for triggers to take over. The query for task
    triggers only offers those that are unassigned or whose owner is dead; the query for callback triggers
    (3.1: deadline triggers), and up to 3.2.1 the one for asset triggers, offers all. So each live triggerer
    takes the others' callback triggers, over and over, and all of them run the callback. A triggerer is
    offered its own, too: they use up the ``LIMIT``, and task triggers starve behind callbacks that already
    run.

The invariant
    A triggerer is only offered triggers that no live triggerer owns. With the row lock that the query takes,
    and the assignment in the same transaction, a trigger has at most one live owner: a trigger
    that another triggerer has just taken is locked, and skipped, or its new version is checked against the
    condition again.

Why the obvious repair is wrong
    Filtering the returned rows keeps the ``LIMIT`` on the unfiltered ones: with enough callbacks running
    elsewhere a triggerer gets nothing at all. The condition has to be in the SQL, before the ``LIMIT``. A
    lock in the scheduler (#64710's proposal) doesn't touch this cause.

How
    The method gets a session that adds the condition to each SELECT it executes. All else (order, queues,
    teams, capacity, row locks) stays stock code, so one patch fits all releases, with their different
    signatures.

What it leaves: the list of live triggerers is read with the statement's snapshot, also when PostgreSQL checks the
condition again. A triggerer whose job row was committed after that snapshot, and which has taken a trigger before this
one locks it, is not in the list, and its trigger is taken from it: a hole of one statement, at a triggerer's start, as
it is on stock for the triggers of tasks. A triggerer that is paused past its health threshold is taken for dead, and
its callback runs again.

Its test: ``tests/airflow/test_duplicate_callback_callback_trigger_owner.py``.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread


class _OnlyFree:
    """A session for one call, which adds a condition to each SELECT that it executes."""

    def __init__(self, session: Any, condition: Any) -> None:
        self._session = session
        self._condition = condition

    def execute(self, statement: Any) -> Any:
        return self._session.execute(statement.where(self._condition))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def apply(module: ModuleType) -> None:
    """Wrap ``Trigger.get_sorted_triggers``."""
    from sqlalchemy import or_

    trigger: Any = module.Trigger
    stock = trigger.get_sorted_triggers.__func__
    signature = inspect.signature(stock)
    if not {"session", "alive_triggerer_ids"} <= signature.parameters.keys():
        raise TypeError(f"get_sorted_triggers{signature} has no session or no alive_triggerer_ids")

    @functools.wraps(stock)
    def get_sorted_triggers(cls: Any, *args: Any, **kwargs: Any) -> Any:
        call = signature.bind(cls, *args, **kwargs)
        alive = call.arguments["alive_triggerer_ids"]
        free = or_(cls.triggerer_id.is_(None), cls.triggerer_id.not_in(alive))
        call.arguments["session"] = _OnlyFree(call.arguments["session"], free)
        return stock(*call.args, **call.kwargs)

    trigger.get_sorted_triggers = classmethod(get_sorted_triggers)


FIX = Fix(
    thread=64710,
    place=3,
    summary="a triggerer takes over callback and asset triggers only if no live triggerer owns them",
    components=("triggerer",),
    targets=(
        Target("airflow.models.trigger", "Trigger.get_sorted_triggers"),
        Target("airflow.models.trigger", "Trigger.assign_unassigned"),
        Target("airflow.models.trigger", "Trigger.ids_for_triggerer"),
        Target("airflow.jobs.triggerer_job_runner", "TriggerRunnerSupervisor.load_triggers"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases={**spread("3.1.0..3.3.2", Fit.APPLIES), **spread("3.4.0b2", Fit.NOT_NEEDED)},
    apply=apply,
)
