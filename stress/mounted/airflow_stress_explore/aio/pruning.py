"""The search of an asyncio program, and which of its alternatives are equivalent to others.

Two kinds of alternatives are pruned, because the very same steps in the same order come about in another way that is
tried:

- an event that only puts a handle at the end of the loop's queue, if until the next point nothing else is put there and
  the event is possible at that point at no higher price: the queue would be the same;
- such an event right after an event that only puts bytes into the loop's socket: the bytes are seen at the next poll
  only, so they may as well have come after the event.

Two more are built into the points: bytes are offered only where the loop is about to poll its socket, and actors that
do the same start in the order of their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_stress_explore.aio.kernel import GO_ON, Event
from airflow_stress_explore.core.choice_search import ChoiceSearch, Progress, none_is_equivalent
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedulers import Point, ReplayByPosition


def search(
    run: Callable[[ReplayByPosition], Sequence[Failure]],
    preemptions: int,
    budget_s: float,
    *,
    pruning: bool = True,
    tick: Callable[[Progress], None] = lambda _: None,
) -> ChoiceSearch:
    """All schedules of a program with at most so many preemptions. `run` plays one; iterate over the result once."""
    return ChoiceSearch(run, preemptions, budget_s, equals_another if pruning else none_is_equivalent, tick)


def equals_another(points: Sequence[Point], at: int, choice: int) -> bool:
    """Whether another alternative leads to the same steps."""
    point = points[at]
    event = point.options[choice]
    if not isinstance(event, Event) or not event.tail:
        return False
    if at:
        before = points[at - 1]
        last = before.options[before.taken]
        if isinstance(last, Event) and last.socket_only:
            return True
    if point.options[point.taken] is not GO_ON or at + 1 == len(points):
        return False
    following = points[at + 1]
    return event in following.options and following.queued == point.queued and following.going <= point.going
