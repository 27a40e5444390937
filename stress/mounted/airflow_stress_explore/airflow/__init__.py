"""What the explorer knows of Airflow: fixtures, operations, pairs, reproducers and invariants; `comms/` of the
triggerer."""
