"""Fix ``comms_end``: a request to a supervisor that is gone fails at once (no thread; releases 3.2.2 to 3.4.0b2).

The defect
    One task reads the trigger runner's stream and gives each reply to the one who waits for it; when it ends, all who
    wait are cancelled. But ``asend`` does not ask whether it has ended: it registers a future that nothing will ever
    resolve, and the request goes into a closed socket, or a buffer. The runner's own loop looks at the reader once in
    a round, and asks the supervisor after it has gone through its triggers, giving way at each: a supervisor that dies
    meanwhile leaves a runner that waits without end, its triggers polling, beside the one that takes them over.
    A runner that does notice hangs, too, if one of its triggers asks when it is cancelled (BigQuery's asks for its
    task's state): ``asyncio.run`` waits for the trigger, and the trigger for its reply.

The invariant
    A request is either registered while the reader runs, and so gets its reply or is cancelled when the reader ends,
    or it fails at once.

Why the obvious repair is wrong
    Looking at the reader more often in the runner's loop leaves the window between that look and the request, and
    all other callers. Waiting with a timeout gives up on a supervisor that is slow (its first request takes seconds)
    and still keeps a dead one's runner for as long.

How
    ``asend`` looks at the reader first, on the loop that owns it. Nothing is awaited between that look and the
    registration, and the reader fails whom it finds in the very step in which it ends, so no caller falls in between. A
    call from another loop or thread is submitted to the owner's by stock code, and looks there. What is raised is a
    ``ConnectionError``: to the runner's loop it is what its own look raises, an ``Exception`` that ends it.

What it leaves: what stock does to those who wait when the reader ends (a cancellation) stays.

Its tests: ``stress repro orphaned_runner`` and ``tests/airflow/test_orphaned_runner_comms_end.py``.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_RUNNER = "airflow.jobs.triggerer_job_runner"


class SupervisorGoneError(ConnectionError):
    """The stream to the triggerer's supervisor has ended or broke, so no reply can come any more."""


def apply(module: ModuleType) -> None:
    """Wrap ``TriggerCommsDecoder.asend``."""
    import attrs

    decoder: Any = module.TriggerCommsDecoder
    stock = decoder.asend
    if not inspect.iscoroutinefunction(stock) or "_reader_task" not in attrs.fields_dict(decoder):
        raise TypeError("TriggerCommsDecoder has no coroutine asend, or no reader task")

    @functools.wraps(stock)
    async def asend(self: Any, msg: Any) -> Any:
        reader = self._reader_task
        if reader is not None and reader.done():
            cause = None if reader.cancelled() else reader.exception()
            raise SupervisorGoneError(f"the connection to the supervisor has ended: {cause!r}") from cause
        return await stock(self, msg)

    decoder.asend = asend


FIX = Fix(
    place=9,
    summary="a request to a supervisor that is gone fails at once and never waits",
    components=("triggerer",),
    targets=(
        Target(_RUNNER, "TriggerCommsDecoder"),
        Target(_RUNNER, "TriggerRunner.arun"),
        Target(_RUNNER, "TriggerRunner.asend"),
        Target(_RUNNER, "TriggerRunner.init_comms"),
        Target(_RUNNER, "TriggerRunner.sync_state_to_supervisor"),
    ),
    releases={**spread("3.1.0..3.2.1", Fit.NOT_NEEDED), **spread("3.2.2..3.4.0b2", Fit.APPLIES)},
    apply=apply,
    databases=(),
)
