"""What a schedule violates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """An invariant that does not hold after a schedule."""

    invariant: str
    detail: str
