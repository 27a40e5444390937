"""What a history of an earlier schema lacks: one step a schema, each with the values that the code had at that time.

The tables are closed. A race, a fix or a measure that comes later is in the events of its own run (`events/plan.py`
lists the schemas), so that a change of today's tables never changes what a stored run says. tests/golden/ has a history
of each schema.

Histograms of schema 1 have the bounds that `ApiAnswered` takes for unnamed ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import msgspec

from stress import events
from stress.history import Entry, History

_FIX_ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "triggerer_comms": ("triggerer",),
        "deadline_claim": ("scheduler",),
        "callback_trigger_owner": ("triggerer",),
        "state_update_lock_scope": ("api-server",),
        "transient_error_answer": ("api-server",),
        "asset_event_order": ("api-server",),
        "fail_fast_lock_order": ("api-server",),
        "trigger_event_claim": ("triggerer",),
        "comms_end": ("triggerer",),
        "clearing_row_locks": ("api-server",),
        "marking_run_lock": ("api-server",),
        "run_marking_row_locks": ("api-server",),
        "callback_claim": ("scheduler",),
        "scheduling_retry_locks": ("scheduler",),
        "sweep_row_claims": ("triggerer", "scheduler"),
        "proposed_thread_lock": ("triggerer",),
        "proposed_deadline_row_lock": ("scheduler",),
        "proposed_ordered_version_refresh": ("scheduler",),
    }
)
"""The roles of the fixes that there were before schema 3."""


def _race(name: str, unit: str, summary: str) -> events.RacePlanned:
    return events.RacePlanned(name=name, unit=unit, summary=summary)


_RACES: Mapping[str, events.RacePlanned] = MappingProxyType(
    {
        race.name: race
        for race in (
            _race(
                "deadlock",
                "state updates",
                "PostgreSQL found a cycle of row locks and aborted one of the transactions (apache/airflow#66734).",
            ),
            _race(
                "duplicate_callback",
                "callbacks that ran",
                "One missed deadline ran its callback more than once (apache/airflow#64710).",
            ),
            _race(
                "out_of_order_frame",
                "cancellations in a request",
                "A triggerer's runner read a reply that belongs to another request, died of it, or made no more "
                "progress (apache/airflow#64620).",
            ),
            _race(
                "stuck_task",
                "task instances",
                "A task or a run stays unfinished, though every fault was healed and nothing moved any more, or a task "
                "that reported success, and was told so, is stored as something else.",
            ),
            _race(
                "lost_callback",
                "passed deadlines",
                "A deadline passed, and its callback never ran, though every fault was healed and nothing moved any "
                "more.",
            ),
        )
    }
)
"""The races that a run could be asked for before schema 4."""


def _measure(
    name: str,
    unit: str,
    *,
    worse_if_higher: bool = True,
    margin: float | None = None,
    interest: float = 0.0,
    relative: bool = False,
) -> events.MeasurePlanned:
    return events.MeasurePlanned(
        name=name,
        unit=unit,
        worse_if_higher=worse_if_higher,
        margin=margin,
        interest=interest,
        relative=relative,
    )


_MEASURES: tuple[events.MeasurePlanned, ...] = (
    _measure("callbacks_run_share", "of missed deadlines", worse_if_higher=False, margin=0.02),
    _measure("lost_callbacks", "per 1,000 passed deadlines", margin=5.0),
    _measure("stuck_tasks", "per 1,000 task instances", margin=5.0),
    _measure("wrong_replies", "a block", margin=0.0),
    _measure("double_starts", "a block", margin=0.0),
    _measure("errors_beyond_deadlocks", "per 1,000 answers", margin=2.0),
    _measure("rest_failures", "per 1,000 requests", margin=20.0),
    _measure("lock_timeouts", "per 1,000 task instances", margin=2.0),
    _measure("component_exits", "a block", margin=1.0),
    _measure("failed_tasks", "a block", margin=5.0),
    _measure("passed_over_by_refresh", "per 1,000 task instances", margin=0.0),
    _measure("stale_versions", "per 1,000 task instances", interest=300.0),
    _measure("throughput", "task instances/s", worse_if_higher=False, margin=0.2, interest=0.05, relative=True),
    _measure("state_update_p01", "ms", margin=1.0, interest=0.25, relative=True),
    _measure("state_update_p50", "ms", margin=0.5, interest=0.05, relative=True),
    _measure("state_update_p95", "ms", margin=0.5, interest=0.05, relative=True),
    _measure("cpu", "s per 1,000 task instances", margin=0.25, interest=0.05, relative=True),
)
"""The measures of harm, as they were when schema 4 began to name them."""


_NOT_IN_SCHEMA_1 = frozenset({"lock_timeouts", "wrong_replies", "double_starts"})
"""Measures of events that nothing wrote before schema 2, so that their absence says nothing. The other measures that it
lacks have no reading, which their readers see."""


def upgraded(history: History) -> History:
    """The history as one of the present schema. An event that is added has the place of the run's own."""
    place = next((at for at, entry in enumerate(history.entries) if isinstance(entry.event, events.RunPlanned)), None)
    if place is None:
        return history
    run = history.entries[place].event
    assert isinstance(run, events.RunPlanned)
    entries = list(history.entries)
    if run.schema < 3:
        entries = [_with_roles(entry) for entry in entries]
    if run.schema < 4:
        unseen = frozenset[str]() if _has_harm(history) else _NOT_IN_SCHEMA_1
        planned: list[events.AnyEvent] = [
            *(_RACES[race] for race in run.races if race in _RACES),
            *(measure for measure in _MEASURES if measure.name not in unseen),
        ]
        entries[place + 1 : place + 1] = [msgspec.structs.replace(entries[place], event=event) for event in planned]
    return replace(history, entries=tuple(entries))


def _has_harm(history: History) -> bool:
    """Whether the history is of schema 2 or later: the first three do not name themselves; since 2 CPU is recorded."""
    return any(isinstance(entry.event, events.CpuUsed) for entry in history.entries)


def _with_roles(entry: Entry) -> Entry:
    """Schema 3. Roles that a history of schema 3 has, which does not name its schema, stay."""
    arm = entry.event
    if not isinstance(arm, events.ArmPlanned):
        return entry
    roles = {fix: list(_FIX_ROLES[fix]) for fix in arm.fixes if fix in _FIX_ROLES}
    return msgspec.structs.replace(entry, event=msgspec.structs.replace(arm, fix_roles={**roles, **arm.fix_roles}))
