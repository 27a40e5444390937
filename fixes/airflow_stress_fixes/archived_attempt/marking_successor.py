"""Fix ``marking_successor``: a mark finds the attempt that began while it waited for the last one (3.4.0b2).

The defect
    A request to mark a task reads the task instance's live attempt with ``FOR UPDATE``. An attempt that ends meanwhile
    (a retry, or the end of a task that was cleared while it ran) holds this row. When the end commits, the row is
    archived: PostgreSQL reads it again, finds that it no longer meets the statement's condition, and leaves it out. The
    successor was committed after the statement's snapshot, so the statement does not find it either. The request is
    answered 404 "was not found", for a task instance that existed at every moment.

The invariant
    A request to mark a task answers 404 only if the task instance has no live attempt.

Why the obvious repair is wrong
    A retry of the whole request gives up the lock of the run, so the next attempt can end as well. An answer of 409
    makes every client repeat what the server can do at once.

How
    The lookup is repeated once if it found nothing. Its statement has a new snapshot, with the successor. Once is
    enough: the request holds the run, and a successor needs the scheduler, which takes the run first, before it can run
    and end. A task instance that does not exist costs one more lookup.

What it leaves: of several task instances (a mapped task without an index) the answer and a note leave out those whose
attempt ended meanwhile; the mark itself is stored for them, because ``set_state`` selects them again. A request to mark
a task group reads their ids first, and leaves them out in the same way.

On stock the same interleaving is a deadlock, because the request's lock of the run is too strong: ``run_lock_strength``
belongs to this fix.

Its tests: ``tests/airflow/test_archived_attempt_marking_successor.py``,
``stress explore retry+marking restart_end+marking --airflow 3.4.0b2 --fixes fixed``.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.api_fastapi.core_api.services.public.task_instances"
_FUNCTION = "_patch_ti_validate_request"


def apply(module: ModuleType) -> None:
    """Wrap the function that looks up and locks the task instances of a request."""
    from fastapi import HTTPException

    stock = getattr(module, _FUNCTION)

    @replacing(module, _FUNCTION)
    def patch_ti_validate_request(*args: Any, lock: bool = True, **kwargs: Any) -> Any:
        try:
            return stock(*args, lock=lock, **kwargs)
        except HTTPException as error:
            if not lock or error.status_code != 404:
                raise
        # An attempt that was archived while the statement waited for its row has a successor now.
        return stock(*args, lock=lock, **kwargs)


FIX = Fix(
    place=28,
    summary="a mark that waited for the end of an attempt finds the attempt's successor",
    components=("api-server",),
    targets=(
        Target(_MODULE, _FUNCTION),
        Target(_MODULE, "_lock_patch_runs"),
        # Who archives an attempt and inserts its successor.
        Target("airflow.models.taskinstance", "TaskInstance.prepare_db_for_next_try"),
    ),
    releases={**spread("3.1.0..3.3.2", Fit.NOT_NEEDED), **spread("3.4.0b2", Fit.APPLIES)},
    apply=apply,
)
