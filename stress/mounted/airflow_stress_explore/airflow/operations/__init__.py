"""Operations, by family. Importing this registers them; Airflow is imported when one is made, not before."""

from airflow_stress_explore.airflow.operations import (  # noqa: F401
    attempts,
    backfills,
    deadlines,
    execution_api,
    outside,
    rest_api,
    resumption,
    run_limits,
    scheduler,
    several,
    silent_tasks,
    triggerer,
)
