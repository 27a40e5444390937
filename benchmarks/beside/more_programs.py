"""Programs of `beside_frontrun.py` that are no worked examples. Only one of the explorers sees the defect of each."""

from __future__ import annotations

from sqlalchemy import text

ROWS_UP = text("SELECT id FROM account ORDER BY id FOR UPDATE")
ROWS_DOWN = text("SELECT id FROM account ORDER BY id DESC FOR UPDATE")
"""Each locks all rows in one statement. A deadlock needs a switch within both."""


class Cache:
    """A count in memory, which threads share without a lock."""

    def __init__(self) -> None:
        self.hits = 0

    def hit(self) -> None:
        """Not atomic."""
        before = self.hits
        self.hits = before + 1
