"""Out-of-order frames in trigger runners (https://github.com/apache/airflow/issues/64620).

Runs whose triggers poll like BigQuery's are ended together, so that triggers are cancelled in the middle of a request.
"""

from __future__ import annotations

from stress.races.scenario import Scenario

ENDLESS = "bigquery_endless"

SCENARIO = Scenario(
    name="trigger_cancel",
    summary="runs are marked failed or successful while their BigQuery-like triggers poll",
    dags=(ENDLESS, "bigquery_jobs"),
    endless_dags=(ENDLESS,),
    users=("QueryCanceller", "UiReader"),
    observers=("component_logs", "receipts"),
    # Fewer than the load's triggers: otherwise the first triggerer takes all of them, and the other has none.
    config={"triggerer.capacity": "30"},
)
