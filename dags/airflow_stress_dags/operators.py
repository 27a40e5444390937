"""Operators of the stress DAGs, for real workers and for hollow ones.

A real worker executes them. A hollow worker (`airflow_stress_hollow`) never loads the DAG: it reads from the task's
`executor_config` what the task would have done, and does that over the Execution API.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk import BaseOperator

from airflow_stress_dags.out_of_order_frame import BigQueryLikeTrigger


class BusyOperator(BaseOperator):
    """A task that takes `seconds` and succeeds."""

    def __init__(self, *, seconds: float = 0.1, **kwargs: Any) -> None:
        super().__init__(executor_config={"hollow": {"seconds": seconds}}, **kwargs)
        self.seconds = seconds

    def execute(self, context: Any) -> None:
        time.sleep(self.seconds)


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
