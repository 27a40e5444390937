"""What an overlay consists of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CORE = "apache-airflow-core"


@dataclass(frozen=True)
class Package:
    """A distribution that a part supplies: its normalised name, its version, and what it requires (PEP 508 lines)."""

    name: str
    version: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One wheel, checkout or diff. Two parts are equal if they are the same code by name, not by content."""

    kind: str
    """`wheel`, `checkout` or `diff`."""

    path: Path
    packages: tuple[Package, ...] = ()
    revision: str = ""
    """The full commit hash of a checkout that was asked for with `@REV`; empty for a work tree as it is."""

    @property
    def core_version(self) -> str | None:
        """The version of Airflow's core in it, if it holds the core."""
        return next((package.version for package in self.packages if package.name == CORE), None)
