"""The cause of a deadlock, by the statements of its sides. Several races are deadlocks of one cause, and share this.

The cause follows from the statements of the sides that hold a row. Each known cycle has its own cause:

===================================  ===============================================================================
`state_update_vs_version_refresh`    #66734: an api-server's state update and a scheduler's refresh of DAG versions
`scheduler_vs_scheduler`             schedulers only: a retry that works without its locks (FINDINGS 2 and 9)
`trigger_cleanup`                    a triggerer that deletes triggers of finished tasks, and any other role
`timeout_sweep`                      a scheduler that ends timed-out deferrals, and any other role
`asset_queue`                        api-servers that queue asset events for the same DAGs (FINDINGS 17)
`run_marking`                        an api-server that marks a run and a scheduler that schedules it (FINDINGS 12)
`run_clearing`                       an api-server that clears task instances of a run (marking a task clears those
                                     behind it) and a scheduler that schedules the run (FINDINGS 15)
`fail_fast`                          an api-server that ends the other tasks of a run after a failure, and another
                                     api-server that stores a task's end (FINDINGS 18)
===================================  ===============================================================================

Every other cycle is named by the roles that took part; a session of no component is `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stress import events
from stress.checkers.view import BlockView
from stress.components import role_of

STATE_UPDATE = "state_update_vs_version_refresh"
RETRY_WITHOUT_LOCKS = "scheduler_vs_scheduler"
TRIGGER_CLEANUP = "trigger_cleanup"
TIMEOUT_SWEEP = "timeout_sweep"
ASSET_QUEUE = "asset_queue"
RUN_MARKING = "run_marking"
RUN_CLEARING = "run_clearing"
FAIL_FAST = "fail_fast"
CAUSES = (
    *(STATE_UPDATE, RETRY_WITHOUT_LOCKS, TRIGGER_CLEANUP, TIMEOUT_SWEEP, ASSET_QUEUE),
    *(RUN_MARKING, RUN_CLEARING, FAIL_FAST),
)

ROLES = frozenset({"api-server", "scheduler", "triggerer", "dag-processor", "unknown"})
"""Roles in the names of other causes; a name is a metric label and must be one of few."""


def _role(side: events.DeadlockSide) -> str:
    role = role_of(side.component)
    return role if role in ROLES else "other"


def _holders(sides: Sequence[events.DeadlockSide]) -> Sequence[events.DeadlockSide]:
    """The sides that hold a row which another side wants: without those that only wait in the row's queue.

    A cycle is written in its order: each side waits for the next. One that waits for a `tuple` waits for its place in
    the queue of a row, which the next side holds while it waits for the row itself, as it would without the other.
    """
    holders = [
        side for before, side in zip([sides[-1], *sides], sides, strict=False) if " on tuple " not in before.waits_for
    ]
    return holders if len(holders) > 1 else sides


class _Sides:
    """The sides that hold a row, by role and by what their statement does."""

    def __init__(self, sides: Sequence[events.DeadlockSide]) -> None:
        self._marks = {(_role(side), side.signature) for side in _holders(sides)}
        self.roles = {role for role, _ in self._marks}

    def any(self, role: str, *parts: str, start: str = "") -> bool:
        """Whether a side of this role has a statement that begins with `start` and contains all `parts`."""
        return any(
            own == role and mark.startswith(start) and all(part in mark for part in parts) for own, mark in self._marks
        )

    def exact(self, role: str, mark: str) -> bool:
        """Whether a side of this role has this statement."""
        return (role, mark) in self._marks

    def only(self, role: str = "", mark: str = "") -> bool:
        """Whether all sides are of this role and have this statement, where they are given."""
        return all(role in ("", own) and mark in ("", found) for own, found in self._marks)


_KNOWN: Sequence[tuple[str, Callable[[_Sides], bool]]] = (
    (
        STATE_UPDATE,
        lambda it: it.any("scheduler", "SET dag_version_id") and it.any("api-server", start="SELECT task_instance"),
    ),
    (TRIGGER_CLEANUP, lambda it: it.exact("triggerer", "UPDATE task_instance SET trigger_id")),
    (TIMEOUT_SWEEP, lambda it: it.any("scheduler", "next_method", start="UPDATE task_instance SET ")),
    (ASSET_QUEUE, lambda it: it.only(mark="INSERT asset_dag_run_queue")),
    (
        RUN_CLEARING,
        lambda it: (
            it.any("scheduler", start="UPDATE task_instance SET ")
            and it.any("api-server", "clear_number", start="UPDATE dag_run SET ")
        ),
    ),
    (
        RUN_MARKING,
        lambda it: (
            it.any("scheduler", start="UPDATE task_instance SET ")
            and it.any("api-server", "end_date, state", start="UPDATE dag_run SET ")
        ),
    ),
    # Nothing else in an api-server changes a task instance's state and no other column.
    (FAIL_FAST, lambda it: it.only("api-server") and it.exact("api-server", "UPDATE task_instance SET state")),
    (RETRY_WITHOUT_LOCKS, lambda it: it.only("scheduler")),
)
"""Each known cause with its test; the first match counts."""


def cause_of(event: events.DeadlockSeen) -> str:
    """The cause as a bounded label: the known ones by their statements, others by the roles that took part."""
    sides = _Sides(event.sides)
    return next((cause for cause, fits in _KNOWN if fits(sides)), "_vs_".join(sorted(sides.roles)))


def unlogged(view: BlockView) -> tuple[str, ...]:
    """Why the log was not seen whole: the server counted more deadlocks than it showed, of any cause."""
    counted, shown = _counted(view), sum(1 for _ in view.all(events.DeadlockSeen))
    if counted <= shown or view.last(events.BlockEnded) is None:
        return ()
    return (f"block {view.block}: PostgreSQL counted {counted} deadlocks, its log showed {shown}",)


def _counted(view: BlockView) -> int:
    """Deadlocks by the server's own counter, over its restarts."""
    before = counter = 0
    for _, sample in view.all(events.DatabaseSampled):
        if sample.deadlocks < counter:
            before += counter
        counter = sample.deadlocks
    return before + counter
