"""Where a run happens: one interface, and the local cluster of processes with an embedded PostgreSQL behind it."""
