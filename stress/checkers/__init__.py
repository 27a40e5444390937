"""Checkers: pure functions from one block's history to incidents and opportunities. One file a race."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from stress.checkers import deadlock, duplicate_callback, lost_callback, out_of_order_frame, stuck_task
from stress.checkers.view import BlockView
from stress.results import BlockCheck

Checker = Callable[[BlockView], BlockCheck]

CHECKERS: Mapping[str, Checker] = MappingProxyType(
    {
        "deadlock": deadlock.check,
        "duplicate_callback": duplicate_callback.check,
        "out_of_order_frame": out_of_order_frame.check,
        "stuck_task": stuck_task.check,
        "lost_callback": lost_callback.check,
    }
)
"""Every race's checker by the race's name, in the order in which races are reported."""

CAUSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "deadlock": deadlock.CAUSES,
        "duplicate_callback": duplicate_callback.CAUSES,
        "out_of_order_frame": out_of_order_frame.CAUSES,
        "stuck_task": stuck_task.CAUSES,
        "lost_callback": lost_callback.CAUSES,
    }
)
"""The causes that are known to exist, so that their series are there from the start; a deadlock may have others."""


def check(race: str, view: BlockView) -> BlockCheck:
    """Run one checker. A checker that throws has found nothing out: its race is blind on this block, and says why."""
    try:
        return CHECKERS[race](view)
    except Exception as error:  # a defect of ours must never pass for "no incident"
        reason = f"the checker of {race} failed: {type(error).__name__}: {error}"
        return BlockCheck(race, view.block, view.arm, (), 0, view.load_s, (reason,))
