"""Fix ``event_callbacks_last``: row locks last until a failure is stored (no thread; 3.1.0 to 3.4.0b2).

The defect
    ``process_executor_events`` locks the task instances of its executor's events, so that no report of a worker comes
    between its look at a state and the failure that it stores. For a task that has a callback or an e-mail it sends a
    request in between. ``DatabaseCallbackSink.send`` stores that request by the session of the thread, which is the
    scheduler's own, and commits it: all the locks are released. A success that a worker reports in that moment is
    answered 204, and the failure is stored over it.

The invariant
    No callback is sent between the look at a locked task instance and the commit that stores its failure.

Why the obvious repair is wrong
    Another session for the requests (``scoped=False``) would keep the locks, but a scheduler that ends before its own
    commit has then sent callbacks of failures that are not stored, and sends them again. A second look at the state
    after the request makes the window smaller, and the request is sent by then. Requests that are all kept to the end
    of the call are lost for failures that are stored when a later event ends with an error.

How
    The executor's ``send_callback`` keeps a request. ``handle_failure`` commits the failure that follows it; a request
    that was kept before a commit is sent when the next one comes, and at the end. After an error these are sent too;
    the request of a failure that is not stored is not.

What it leaves: the commit of the first failure in a call releases the locks of the tasks whose events follow, as on
stock. A scheduler that ends between a failure's commit and its request loses the request.

Its tests: ``stress repro event_overwrite`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_event_overwrite_event_callbacks_last.py``.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"


class Requests:
    """Keeps the requests for callbacks of one call until a commit has stored the failures that they are about."""

    def __init__(self, executor: Any, session: Any) -> None:
        from sqlalchemy import event

        self._executor, self._session = executor, session
        self._waiting: list[Any] = []
        self._stored: list[Any] = []
        self._outer = vars(executor).get("send_callback")  # another fix may keep requests, too
        self._send = executor.send_callback
        executor.send_callback = self.keep
        event.listen(session, "after_commit", self._committed)

    def _committed(self, _session: Any) -> None:
        self._stored += self._waiting
        self._waiting = []

    def keep(self, request: Any) -> None:
        """Take the place of ``send_callback``. A commit has released the locks of the call if something is stored."""
        self._send_stored()
        self._waiting.append(request)

    def _send_stored(self) -> None:
        while self._stored:
            self._send(self._stored.pop(0))

    def close(self, *, failed: bool) -> None:
        """Send what may be sent: after an error only what was stored before it."""
        from sqlalchemy import event

        event.remove(self._session, "after_commit", self._committed)
        del self._executor.send_callback
        if self._outer is not None:
            self._executor.send_callback = self._outer
        if failed:
            self._session.rollback()
        elif self._waiting:
            self._session.flush()
            self._stored += self._waiting
        self._send_stored()


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner.process_executor_events``."""
    runner: Any = module.SchedulerJobRunner
    stock = vars(runner)["process_executor_events"].__func__
    signature = inspect.signature(stock)
    if not {"executor", "session"} <= signature.parameters.keys():
        raise TypeError(f"process_executor_events{signature} has no executor or no session")

    @functools.wraps(stock)
    def process_executor_events(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        requests = Requests(given["executor"], given["session"])
        try:
            done = stock(*args, **kwargs)
        except BaseException:
            requests.close(failed=True)
            raise
        requests.close(failed=False)
        return done

    runner.process_executor_events = classmethod(process_executor_events)


FIX = Fix(
    place=26,
    summary="a scheduler sends the callbacks of failed tasks after it has stored the failures",
    components=("scheduler",),
    targets=(
        Target(_MODULE, "SchedulerJobRunner.process_executor_events"),
        Target(_MODULE, "SchedulerJobRunner._process_executor_events"),
        Target("airflow.callbacks.database_callback_sink", "DatabaseCallbackSink.send"),
        Target("airflow.executors.base_executor", "BaseExecutor.send_callback"),
        Target("airflow.utils.session", "create_session"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
