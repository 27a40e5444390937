"""Operations, by family. Importing this registers them; Airflow is imported when one is made, not before."""

from airflow_stress_explore.operations import deadlines, execution_api, people, scheduler, triggerer  # noqa: F401
