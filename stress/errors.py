"""The root of the harness's errors. Imports nothing, so that every package can derive from it."""

from __future__ import annotations


class StressError(Exception):
    """The root of the errors that the harness shows as one sentence, without a traceback."""
