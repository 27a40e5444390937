"""Races on purpose: reproducers of known ones, and a search for others, on Airflow's own code and a real PostgreSQL."""
