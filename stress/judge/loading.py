"""Whether the fixes of an arm were loaded, by the report of each process of Airflow.

An arm with fixes counts only if each life of each component that runs the fixed code loaded them. A life is one process
of a component from its start to its end, with the processes that it started. A report counts for the life that its
process belongs to: the one whose main process it is, or the one in which it reported first. So a report from before a
restart, or a late one, does not count for the next life, even if containers give both the same process id.

A process that only reports `armed` has the mount and has not reached the fixed code; a health check is an example. It
does not count against a life of which another process loaded the fix; a process that reports `refused` or `error`
always does. A life of less than `SHORT_LIFE_S` without a fault (the component was started again just before the end of
its block, or before the next fault) may not have reached the fixed code either.

The roles that must load a fix are in the history (`ArmPlanned.fix_roles`). A fix without any cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stress import events
from stress.checkers.view import BlockView, Life, longest_outside
from stress.results import ArmSummary

SHORT_LIFE_S = 25.0

_FINE = ("loaded", "not_needed")
_BAD = ("refused", "error")


@dataclass
class _Process:
    """What one process reported, from its interpreter's start."""

    component: str
    pid: int
    first_at: float
    reports: list[events.FixReported]


def unloaded(blocks: Sequence[BlockView], arms: Sequence[ArmSummary]) -> dict[str, list[str]]:
    """Arm to the reasons why its fixes may not have been loaded."""
    by_name = {arm.name: arm for arm in arms}
    reasons: dict[str, list[str]] = {arm.name: [] for arm in arms}
    for view in blocks:
        arm = by_name.get(view.arm)
        if view.complete and arm is not None and arm.fixes:
            reasons[arm.name].extend(_of_block(view, arm))
    return {name: list(dict.fromkeys(found)) for name, found in reasons.items() if found}


def _of_block(view: BlockView, arm: ArmSummary) -> Iterator[str]:
    processes = list(_processes(view))
    lives = {role: view.lives(role) for fix in arm.fixes for role in arm.fix_roles.get(fix, ())}
    for fix in arm.fixes:
        for _, report in view.all(events.FixReported):
            if report.fix == fix and report.status in _BAD:
                yield f"{report.component} {report.status} {fix}: {report.detail}"
        if not arm.fix_roles.get(fix):
            yield f"it is not known which components must load {fix}"
        for role in arm.fix_roles.get(fix, ()):
            for life in lives[role]:
                own = (process for process in processes if _life_of(process, lives[role]) is life)
                if not _loaded(fix, own) and (life.restarts == 0 or not _short(view, life)):
                    yield f"{_named(life)} of block {view.block} did not report {fix} as loaded"


def _named(life: Life) -> str:
    """A component, and which of its processes where it was restarted."""
    return life.component + (f" (process {life.pid}, restart {life.restarts})" if life.restarts else "")


def _processes(view: BlockView) -> Iterator[_Process]:
    """Every process that reported, in the order of their first reports.

    A process reports each fix as `armed` once, at its interpreter's start: a second such report under one id is of
    another process, which happens in containers, where ids begin anew with each start.
    """
    current: dict[tuple[str, int], _Process] = {}
    ended: list[_Process] = []
    for t, report in view.all(events.FixReported):
        key = (report.component, report.pid)
        process = current.get(key)
        again = process is not None and any(r.fix == report.fix and r.status == "armed" for r in process.reports)
        if process is None or (report.status == "armed" and again):
            if process is not None:
                ended.append(process)
            process = current[key] = _Process(*key, t, [])
        process.reports.append(report)
    yield from sorted([*ended, *current.values()], key=lambda each: each.first_at)


def _life_of(process: _Process, lives: Iterable[Life]) -> Life | None:
    """The life that a process belongs to: by its id, or, for a child or in a container, by its first report."""
    own = [life for life in lives if life.component == process.component]
    exact = [life for life in own if life.pid == process.pid]
    if exact:
        return exact[-1]
    begun = [life for life in own if life.start <= process.first_at]
    return begun[-1] if begun else None


def _short(view: BlockView, life: Life) -> bool:
    start, end = longest_outside(life.start, life.end, view.excused(life.component, 0.0))
    return end - start <= SHORT_LIFE_S


def _loaded(fix: str, processes: Iterable[_Process]) -> bool:
    return any(report.fix == fix and report.status in _FINE for process in processes for report in process.reports)
