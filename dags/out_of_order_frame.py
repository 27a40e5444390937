"""BigQuery-like deferrable tasks: jobs that end by themselves, and jobs that run until a user ends their run."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import DAG

from airflow_stress_dags.operators import BigQueryLikeOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)

with DAG("bigquery_jobs", schedule="* * * * *", start_date=START, catchup=False, max_active_runs=16, tags=["stress"]):
    for job in range(3):
        BigQueryLikeOperator(task_id=f"job_{job}", poll_s=0.5, job_s=3.0)

with DAG("bigquery_endless", schedule=None, start_date=START, max_active_runs=64, tags=["stress"]):
    for job in range(5):
        BigQueryLikeOperator(task_id=f"job_{job}", poll_s=0.15, job_s=None)
