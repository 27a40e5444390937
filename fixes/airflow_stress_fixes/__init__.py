"""Fixes for Airflow's races, mounted at run time; see ``fixes/README.md``. No module needs Airflow to be imported."""
