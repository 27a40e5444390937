"""Operators of the stress DAGs, for real workers and for hollow ones.

A real worker executes them. A hollow worker (`airflow_stress_hollow`) never loads the DAG: it reads from the task's
`executor_config` what the task would have done, and does that over the Execution API.
"""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator
from airflow_stress_moments import next_moment

from airflow_stress_dags.out_of_order_frame import BigQueryLikeTrigger
from airflow_stress_dags.stale_trigger_event import FireAt


class BusyOperator(BaseOperator):
    """A task that takes `seconds` and succeeds."""

    def __init__(self, *, seconds: float = 0.1, **kwargs: Any) -> None:
        super().__init__(executor_config={"hollow": {"seconds": seconds}}, **kwargs)
        self.seconds = seconds

    def execute(self, context: Any) -> None:
        time.sleep(self.seconds)


class TimedOperator(BaseOperator):
    """A task that ends at `second` of a period of the clock, together with all others of that second.

    Its reports are recorded with DAG, run and task.
    """

    def __init__(self, *, second: float, period_s: float, fails: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.second = second
        self.period_s = period_s
        self.fails = fails
        hollow = {
            "recorded": True,
            "ends_at": {"second": second, "period_s": period_s},
            "end": "failed" if fails else "success",
            "outlets": [{"name": asset.name, "uri": asset.uri, "type": "Asset"} for asset in self.outlets],
        }
        self.executor_config = {"hollow": hollow}

    def execute(self, context: Any) -> None:
        time.sleep(next_moment(self.second, self.period_s) - time.time())
        if self.fails:
            raise RuntimeError("this task is planned to fail")


class DeferredUntilOperator(BaseOperator):
    """A task that defers to a trigger which fires at `second` of a period of the clock.

    With `times_out_within_s` its time-out is due at most so many seconds before. Its reports are recorded as those of
    `TimedOperator`.
    """

    def __init__(
        self, *, second: float, period_s: float, lead_s: float, times_out_within_s: float | None = None, **kwargs: Any
    ) -> None:
        self.fires_at = {"second": second, "period_s": period_s, "lead_s": lead_s}
        self.times_out_within_s = times_out_within_s
        classpath, trigger_kwargs = FireAt(0.0).serialize()
        defer: dict[str, Any] = {
            "classpath": classpath,
            "kwargs": trigger_kwargs,
            "method": "execute_complete",
            "fires_at": self.fires_at,
        }
        if times_out_within_s is not None:
            defer["times_out_within_s"] = times_out_within_s
        super().__init__(executor_config={"hollow": {"recorded": True, "defer": defer}}, **kwargs)

    def execute(self, context: Any) -> None:
        moment = next_moment(**self.fires_at)
        timeout = None
        if self.times_out_within_s is not None:
            before_s = random.uniform(0.0, self.times_out_within_s)  # noqa: S311 - no secret
            timeout = timedelta(seconds=moment - before_s - time.time())
        self.defer(trigger=FireAt(moment), method_name="execute_complete", timeout=timeout)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Resume after the trigger's event."""


class BigQueryLikeOperator(BaseOperator):
    """A task that defers to `BigQueryLikeTrigger` at once and succeeds when it resumes."""

    def __init__(self, *, poll_s: float, job_s: float | None, **kwargs: Any) -> None:
        self.trigger = BigQueryLikeTrigger(poll_s=poll_s, job_s=job_s)
        classpath, trigger_kwargs = self.trigger.serialize()
        hollow = {
            "seconds": 0.0,
            "defer": {"classpath": classpath, "kwargs": trigger_kwargs, "method": "execute_complete"},
        }
        super().__init__(executor_config={"hollow": hollow}, **kwargs)

    def execute(self, context: Any) -> None:
        self.defer(trigger=self.trigger, method_name="execute_complete")

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Resume after the trigger's event."""
