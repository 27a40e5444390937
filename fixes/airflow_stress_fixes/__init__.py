"""Fixes for Airflow's races, mounted at run time; see ``fixes/README.md``. No module imports Airflow at import."""
