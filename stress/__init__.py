"""airflow-stress: makes the races of Apache Airflow appear, explains them, and decides whether a fix removed them."""

__version__ = "0.1.0"
