"""A trigger that behaves as the Google provider's BigQuery trigger does, without BigQuery.

While its job runs, it polls; before it goes on, and when it is cancelled, it asks the supervisor for its task's state
through `sync_to_async(RuntimeTaskInstance.get_task_states)`, because only a task that was ended by a user may have its
remote job cancelled. That question is the request that a cancellation interrupts (https://github.com/apache/airflow/issues/64620).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.execution_time import task_runner
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_stress_dags.receipts import leave

TICK_S = 0.5
MOST_MISROUTED = 3
"""Receipts of wrong replies that one trigger leaves: one proves it, and a trigger polls several times a second."""


class _Progress:
    """How this process's triggers come along: finished polls since its start, and triggers that are polling now.

    Reported by a separate task, at every tick of the runner's event loop: a loop that stands still tells nothing, and a
    loop that runs while no poll is answered tells an unchanged number. The two are different illnesses.
    """

    def __init__(self) -> None:
        self.polls = 0
        self.active = 0
        self._ticker: asyncio.Task[None] | None = None

    def enter(self) -> None:
        """One more trigger polls."""
        self.active += 1
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.create_task(self._tick(), name="airflow-stress-progress")

    def leave(self) -> None:
        """One less."""
        self.active -= 1

    async def _tick(self) -> None:
        while self.active > 0:
            leave("progress", polls=self.polls, active=self.active)
            await asyncio.sleep(TICK_S)
        leave("progress", polls=self.polls, active=0)


_progress = _Progress()


def _next_frame() -> int | None:
    """The id that the next request to the supervisor gets, read off the counter without advancing it."""
    counter = getattr(getattr(task_runner, "SUPERVISOR_COMMS", None), "id_counter", None)
    if not isinstance(counter, itertools.count):
        return None
    return int(repr(counter).removeprefix("count(").removesuffix(")"))


class BigQueryLikeTrigger(BaseTrigger):
    """Polls a job that takes `job_s` seconds every `poll_s` seconds; `job_s=None` runs until it is cancelled."""

    def __init__(self, poll_s: float = 0.2, job_s: float | None = None) -> None:
        super().__init__()
        self.poll_s = poll_s
        self.job_s = job_s
        self._in_request = False
        self._misrouted = 0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_stress_dags.out_of_order_frame.BigQueryLikeTrigger",
            {"poll_s": self.poll_s, "job_s": self.job_s},
        )

    async def _task_state(self) -> str | None:
        """Ask the supervisor for the state of the task that waits for this trigger.

        The answer must be about this task: one that is not, or that has another type, was meant for another request.
        """
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ti = self.task_instance
        self._in_request = True
        try:
            states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
                dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id]
            )
            of_run = states.get(ti.run_id) or {}
        except (AssertionError, AttributeError, TypeError) as error:
            self._leave_misrouted(f"{type(error).__name__}: {error}")
            raise
        self._in_request = False
        if ti.task_id not in of_run:
            self._leave_misrouted(str(states))
        return of_run.get(ti.task_id)

    def _leave_misrouted(self, got: str) -> None:
        """A receipt of an answer that was not about this trigger's task."""
        self._misrouted += 1
        if self._misrouted <= MOST_MISROUTED:
            ti = self.task_instance
            expected = f"{ti.run_id} {ti.task_id}"
            leave("misrouted", trigger=getattr(self, "trigger_id", None), expected=expected, got=got[:300])

    async def run(self) -> AsyncIterator[TriggerEvent]:
        started = time.monotonic()
        _progress.enter()
        try:
            while self.job_s is None or time.monotonic() - started < self.job_s:
                await self._task_state()
                _progress.polls += 1
                await asyncio.sleep(self.poll_s)
            yield TriggerEvent({"status": "success"})
        except asyncio.CancelledError:
            await self._on_cancelled()
            raise
        finally:
            _progress.leave()

    async def _on_cancelled(self) -> None:
        """What the Google provider does on cancellation: ask for the task's state, cancel the remote job if allowed."""
        trigger = getattr(self, "trigger_id", None)
        leave("cancellations", trigger=trigger, in_request=self._in_request, next_frame=_next_frame())
        try:
            state = await self._task_state()
        except BaseException as error:
            leave("answers", trigger=trigger, error=f"{type(error).__name__}: {error}"[:300])
            raise
        leave("answers", trigger=trigger, state=state)
