"""Operations, by family. Importing this registers them; Airflow is imported when one is made, not before."""

from airflow_stress_explore.airflow.operations import (  # noqa: F401
    attempts,
    deadlines,
    execution_api,
    outside,
    rest_api,
    scheduler,
    several,
    triggerer,
)
