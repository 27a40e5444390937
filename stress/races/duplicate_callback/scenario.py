"""Duplicate callbacks of missed deadlines (https://github.com/apache/airflow/issues/64710 and /72848).

Many deadlines pass at once, in a queue; two schedulers handle them and two triggerers run their callbacks.
"""

from __future__ import annotations

from stress.races.scenario import Scenario

DEADLINES = "deadline_queue"

SCENARIO = Scenario(
    name="deadline_miss",
    summary="many deadlines are missed at once, with two schedulers and two triggerers",
    dags=(DEADLINES,),
    endless_dags=(DEADLINES,),
    users=("DeadlineMisser", "UiReader"),
    observers=("receipts", "database"),
)
