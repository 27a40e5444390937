"""Runs inside a release's environment: nothing of the harness is imported here, and nothing of this there."""
