"""All fixes by name, and the groups they are asked for by.

The harness imports this: ``FIXES``, ``GROUPS``, ``resolve``, ``FixSelectionError``. Nothing here needs
Airflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from airflow_stress_fixes import (
    asset_event_order,
    callback_claim,
    callback_trigger_owner,
    clearing_row_locks,
    comms_end,
    deadline_claim,
    fail_fast_lock_order,
    marking_run_lock,
    proposed_deadline_row_lock,
    proposed_ordered_version_refresh,
    proposed_thread_lock,
    run_marking_row_locks,
    scheduling_retry_locks,
    state_update_lock_scope,
    sweep_row_claims,
    transient_error_answer,
    trigger_event_claim,
    triggerer_comms,
)
from airflow_stress_fixes.fix import Fix


class FixSelectionError(ValueError):
    """A selection of fixes that can't be made; the message says what can."""


FIXES: Mapping[str, Fix] = MappingProxyType(
    {
        fix.name: fix
        for fix in (
            triggerer_comms.FIX,
            deadline_claim.FIX,
            callback_trigger_owner.FIX,
            state_update_lock_scope.FIX,
            transient_error_answer.FIX,
            asset_event_order.FIX,
            fail_fast_lock_order.FIX,
            trigger_event_claim.FIX,
            comms_end.FIX,
            clearing_row_locks.FIX,
            marking_run_lock.FIX,
            run_marking_row_locks.FIX,
            callback_claim.FIX,
            scheduling_retry_locks.FIX,
            sweep_row_claims.FIX,
            proposed_thread_lock.FIX,
            proposed_deadline_row_lock.FIX,
            proposed_ordered_version_refresh.FIX,
        )
    }
)
"""Every fix by its name."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all": tuple(fix.name for fix in FIXES.values() if not fix.proposed),
        "none": (),
        "proposed": tuple(fix.name for fix in FIXES.values() if fix.proposed),
    }
)
"""``all``: ours. ``proposed``: what the reports propose. ``none``: stock."""


def split(selection: str) -> tuple[str, ...]:
    """The names in ``a,b`` or ``a+b``."""
    return tuple(name for name in re.split(r"[,+\s]+", selection) if name)


def resolve(selection: str | Iterable[str]) -> tuple[Fix, ...]:
    """The fixes that names and groups mean, in the catalogue's order, each once.

    :param selection: ``"a+b"``, ``"a,b"``, a group's name, or several such names.
    :raises FixSelectionError: for an unknown name, or for fixes that exclude each other.
    """
    names = split(selection) if isinstance(selection, str) else tuple(n for item in selection for n in split(item))
    wanted: set[str] = set()
    for name in names:
        if name in GROUPS:
            wanted.update(GROUPS[name])
        elif name in FIXES:
            wanted.add(name)
        else:
            raise FixSelectionError(
                f"unknown fix {name!r}: the fixes are {', '.join(FIXES)}; the groups are {', '.join(GROUPS)}"
            )
    fixes = tuple(fix for fix in FIXES.values() if fix.name in wanted)
    check_compatible(fixes)
    return fixes


def check_compatible(fixes: Iterable[Fix]) -> None:
    """Refuse fixes that replace the same thing.

    :raises FixSelectionError: names the two that can't be together.
    """
    chosen = {fix.name: fix for fix in fixes}
    for fix in chosen.values():
        for other in fix.excludes:
            if other in chosen:
                raise FixSelectionError(f"{fix.name} and {other} replace the same code: choose one of them")
