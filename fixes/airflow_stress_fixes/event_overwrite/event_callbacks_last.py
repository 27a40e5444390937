"""Fix ``event_callbacks_last``: row locks last until a failure is stored (no thread; 3.1.0 to 3.4.0b2).

The defect
    ``process_executor_events`` locks the task instances of its executor's events, so that no report of a worker comes
    between its look at a state and the failure that it stores. For a task that has a callback or an e-mail it sends a
    request in between. ``DatabaseCallbackSink.send`` stores that request by the session of the thread, which is the
    scheduler's own, and commits it: all the locks are released. A success that a worker reports in that moment is
    answered 204, and the failure is stored over it.

The invariant
    ``process_executor_events`` ends its transaction once, after all that it stores.

Why the obvious repair is wrong
    Another session for the requests (``scoped=False``) would keep the locks, but a scheduler that ends before its own
    commit has then sent callbacks of failures that are not stored, and sends them again. A second look at the state
    after the request makes the window smaller, and the request is sent by then.

How
    The executor's ``send_callback`` collects the requests of one call. At its end the changes are flushed, and the
    requests are sent: the commit of the first one stores the failures, too. After an error nothing is sent.

What it leaves: a scheduler that ends between the first and the last request of one call loses the others. A request
of a task whose failure cannot be stored is not sent any more.

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
        executor, session = given["executor"], given["session"]
        requests: list[Any] = []
        outer = vars(executor).get("send_callback")  # another fix may collect requests, too
        executor.send_callback = requests.append
        try:
            done = stock(*args, **kwargs)
        finally:
            del executor.send_callback
            if outer is not None:
                executor.send_callback = outer
        if requests:
            session.flush()
        for request in requests:
            executor.send_callback(request)
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
