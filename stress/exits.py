"""Exit codes of every command (docs/design.md, section 4). Imports nothing, so that everything may import it."""

from __future__ import annotations

EXIT_UNKNOWN = 2
"""Too little evidence to decide."""

EXIT_FAILED = 3
"""The harness or the machine failed."""

EXIT_USAGE = 64
"""Bad arguments."""
