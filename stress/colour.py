"""Whether output is coloured: one answer for every command.

The order is that of no-color.org and force-color.org: `NO_COLOR` (not empty) turns colour off, `FORCE_COLOR` (not empty
and not `0`) turns it on, `TERM=dumb` turns it off, and otherwise a terminal has colour and a file or a pipe has none.
"""

from __future__ import annotations

import os
from typing import TextIO


def wanted(stream: TextIO) -> bool:
    """Whether to write colours to `stream`."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and not dumb()


def dumb() -> bool:
    """Whether the terminal says that it can neither colour text nor move its cursor."""
    return os.environ.get("TERM", "") in ("dumb", "unknown")
