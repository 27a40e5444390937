"""Deadlocks between state updates and the refresh of DAG versions (https://github.com/apache/airflow/issues/66734).

Many runs are in flight, their tasks finish all the time, and their DAGs get a new version every
`LoadSettings.churn_period_s` seconds.
"""

from __future__ import annotations

from stress.races.scenario import Scenario

SCENARIO = Scenario(
    name="version_churn",
    summary="new DAG versions arrive while tasks of runs in flight finish",
    dags=("churn_0", "churn_1", "churn_2", "churn_3"),
    users=("DagEditor", "RunStarter", "Clearer", "UiReader"),
    observers=("postgres_log", "database", "execution_api"),
    config={
        # Airflow's default writes a changed DAG at most every 30 s, so that versions would come in bursts.
        "core.min_serialized_dag_update_interval": "0",
        "dag_processor.min_file_process_interval": "2",
        "dag_processor.refresh_interval": "5",
    },
)
