"""When a block has settled: late is not lost, and what Airflow still repairs is not stuck.

After the load, and after every fault was healed, a block waits until no work is pending, or until the pending work has
not changed for longer than Airflow's recovery takes: for a task that is queued in a dead scheduler, until another
scheduler has searched for orphans; for a callback that a dead triggerer owns, until its heartbeat is too old; and so
on. The time follows from Airflow's configuration and from the kind of pending work, so that a healthy block settles at
once. It is at most `MOST_S`: what still changes then is neither lost nor found, and the checkers report that.

Without faults no run is awaited to its end, only what has stood still since the settling began (`aftermath.py`), and
nothing has to be rescued: a task that has not moved for as long as a triggerer needs to be replaced is stuck, although
Airflow may come to its rescue after ten minutes. A block in which everything moves settles in seconds.

Pure but for the clock, which is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from stress.events import BlockSettled

MOST_S = 120.0
"""Seconds after which a block is over, even if something in it still moves."""

RUNNERS_S = 35.0
"""Seconds for which runners that own polling triggers are looked at after the last fault, all of which they may need to
come back (`out_of_order_frame.AFTER_FAULT_S`) and to be found standing still."""

MARGIN_S = 5.0
"""For the look after a threshold has passed: schedulers and triggerers look about once a second, on a busy machine."""
START_S = 15.0
"""A triggerer that was started again, its supervisor's back-off included, needs so long to run its first trigger."""

# Airflow's options, seconds, with the defaults of 3.1 to 3.3.
_SCHEDULER_DEAD = ("scheduler.scheduler_health_check_threshold", 30.0)
_ORPHANS = ("scheduler.orphaned_tasks_check_interval", 300.0)
_TRIGGERER_DEAD = ("triggerer.triggerer_health_check_threshold", 30.0)
_TASK_DEAD = ("scheduler.task_instance_heartbeat_timeout", 300.0)
_TASK_DEAD_LOOK = ("scheduler.task_instance_heartbeat_timeout_detection_interval", 10.0)
_QUEUED = ("scheduler.task_queued_timeout", 600.0)
_QUEUED_LOOK = ("scheduler.task_queued_timeout_check_interval", 120.0)


@dataclass(frozen=True)
class Waiting:
    """What waits at one look. `marks` changes when any of it does; `states` are the states that it is in."""

    count: int = 0
    marks: str = ""
    states: frozenset[str] = frozenset()


class Unfinished(Protocol):
    """What a block has not finished, asked for at each look of its settling."""

    def callbacks(self) -> Waiting:
        """Deadlines and callbacks that wait."""

    def tasks(self) -> Waiting:
        """Finite task instances and runs that wait."""

    def runners(self) -> bool:
        """Whether triggerers own polling triggers."""


def callbacks_needed_s(config: Mapping[str, str]) -> float:
    """Seconds in which a callback that a dead triggerer owns is taken over, or its triggerer has come back."""
    return _seconds(config, _TRIGGERER_DEAD) + START_S


def tasks_needed_s(config: Mapping[str, str], states: Collection[str]) -> float:
    """Seconds in which Airflow recovers a task instance in one of these states."""
    adopted_s = _seconds(config, _SCHEDULER_DEAD) + _seconds(config, _ORPHANS)
    rescues = {
        "queued": max(adopted_s, _seconds(config, _QUEUED) + _seconds(config, _QUEUED_LOOK)),
        "running": max(adopted_s, _seconds(config, _TASK_DEAD) + _seconds(config, _TASK_DEAD_LOOK)),
        "restarting": max(adopted_s, _seconds(config, _TASK_DEAD) + _seconds(config, _TASK_DEAD_LOOK)),
        "deferred": max(adopted_s, _seconds(config, _TRIGGERER_DEAD) + START_S),
    }
    return MARGIN_S + max((rescues.get(state, adopted_s) for state in states), default=adopted_s)


def _seconds(config: Mapping[str, str], option: tuple[str, float]) -> float:
    name, default = option
    return float(config.get(name, default))


class _Watch:
    """Since when one kind of waiting has not changed."""

    def __init__(self, now: float) -> None:
        self.last: Waiting | None = None
        self.changed_at = now

    def look(self, waiting: Waiting, now: float) -> None:
        if waiting != self.last:
            self.last, self.changed_at = waiting, now


class Settling:
    """One block's settling: takes the pending work of each look, and decides when to stop."""

    def __init__(self, config: Mapping[str, str], clock: Callable[[], float], *, drains: bool) -> None:
        """`config` is Airflow's, as the block's components have it; `clock` counts seconds; `drains` with faults."""
        self._config = config
        self._drains = drains
        self._clock = clock
        self._began = clock()
        self._callbacks = _Watch(self._began)
        self._tasks = _Watch(self._began)

    def over(self, callbacks: Waiting, tasks: Waiting, *, runners: bool) -> bool:
        """One look; whether it was the last. `runners`: a triggerer owns polling triggers."""
        now = self._clock()
        self._callbacks.look(callbacks, now)
        self._tasks.look(tasks, now)
        if now - self._began >= MOST_S:
            return True
        if self._drains and runners and now - self._began < RUNNERS_S:
            return False
        said = self.said()
        return (not said.callbacks or said.callbacks_unchanged_s >= said.callbacks_needed_s) and (
            not said.tasks or said.tasks_unchanged_s >= said.tasks_needed_s
        )

    def said(self) -> BlockSettled:
        """The state of the settling, for the history."""
        now = self._clock()
        callbacks, tasks = self._callbacks.last or Waiting(), self._tasks.last or Waiting()
        callback_s = callbacks_needed_s(self._config)
        return BlockSettled(
            seconds=round(now - self._began, 3),
            callbacks=callbacks.count,
            callbacks_unchanged_s=round(now - self._callbacks.changed_at, 3),
            callbacks_needed_s=callback_s,
            tasks=tasks.count,
            tasks_unchanged_s=round(now - self._tasks.changed_at, 3),
            tasks_needed_s=tasks_needed_s(self._config, tasks.states) if self._drains else callback_s,
            drained=self._drains,
        )
