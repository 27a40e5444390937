"""Fixes for Airflow's races, mounted at run time; see ``fixes/README.md``. Importing it needs no Airflow."""
