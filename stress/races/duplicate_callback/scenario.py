"""Duplicate callbacks of missed deadlines (https://github.com/apache/airflow/issues/64710 and /72848).

Many deadlines pass at once, in a queue; two schedulers handle them and two triggerers run their callbacks. Synchronous
callbacks, which executors run, need a load of their own: only those that wait for a place can be given out twice.
"""

from __future__ import annotations

from stress.races.scenario import Scenario

DEADLINES = "deadline_queue"

SYNC_DEADLINES = "deadline_queue_sync"

SYNC = Scenario(
    name="sync_deadline_miss",
    summary="more synchronous callbacks of missed deadlines than executors have places (from 3.3 on)",
    dags=(SYNC_DEADLINES,),
    endless_dags=(SYNC_DEADLINES,),
    dag_files=("duplicate_callback_sync",),
    users=("SyncDeadlineMisser", "UiReader"),
    observers=("receipts", "database"),
    on_request=True,
)

SCENARIO = Scenario(
    name="deadline_miss",
    summary="many deadlines are missed at once, with two schedulers and two triggerers",
    dags=(DEADLINES,),
    endless_dags=(DEADLINES,),
    users=("DeadlineMisser", "UiReader"),
    observers=("receipts", "database"),
)
