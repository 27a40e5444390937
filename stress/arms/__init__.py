"""What is under test: Airflow releases, the environments they live in, and the arms that a run compares."""
