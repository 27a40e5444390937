"""What a fix is: its name, what it replaces, which releases it fits, and how it is applied.

Data only, and no Airflow import, so that the harness can list and check fixes in an environment without
Airflow.

A fix is bound to source, not to a version number: a release string says nothing about a patched checkout or
a vendor's build. Each target's source has a known fingerprint per release (``known_sources``), and the fix
is applied only if there is a known release whose fingerprints *all* agree with what was found. A mixture
that no release ever shipped is as unknown as a changed line.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from airflow_stress_fixes.known_sources import KNOWN, spread

COMPONENTS = ("scheduler", "triggerer", "api-server", "dag-processor")
"""The roles that an Airflow process can have in ``AIRFLOW_STRESS_COMPONENT``."""


class Fit(enum.Enum):
    """What a fix has to do on a release."""

    APPLIES = "applies"
    """The defect is there and the fix repairs it."""

    NOT_NEEDED = "not_needed"
    """The defect isn't there: repaired upstream, or not introduced yet."""


@dataclass(frozen=True, order=True)
class Target:
    """A piece of Airflow's source that a fix replaces, or that its reasoning depends on."""

    module: str
    """Dotted name of the module, for example ``airflow.models.trigger``."""

    name: str
    """Qualified name in the module: a function, a class, or ``Class.method``."""

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    def releases(self, fingerprint: str | None) -> frozenset[str]:
        """The releases known to have this fingerprint; none if it is unknown."""
        return frozenset(spread(self.known.get(fingerprint or "", ""), None))

    @property
    def known(self) -> Mapping[str, str]:
        """Fingerprints to the span of releases that have them."""
        return KNOWN[str(self)]


@dataclass(frozen=True)
class Verdict:
    """What was decided about a fix from fingerprints; ``fit`` is None for source that it doesn't know."""

    fit: Fit | None
    releases: frozenset[str]
    """The known releases that all fingerprints agree with."""


@dataclass(frozen=True)
class Fix:
    """One repair of one race."""

    summary: str
    components: tuple[str, ...]
    """The roles whose processes must load it; others may."""

    targets: tuple[Target, ...]
    """What must have known source: what is replaced, and each function whose behaviour the reasoning depends on,
    callers included. The first one's module is the one that is patched."""

    releases: Mapping[str, Fit]
    apply: Callable[[ModuleType], None]
    """Patch the first target's module, just after it was executed; raises before it changes anything. A function of the
    fix's own module, which gives the fix its name."""

    thread: int = 0
    """Number of the issue at github.com/apache/airflow; 0 if there is none."""

    place: int = 100
    """Its place among the fixes, the least first. Fixes that wrap one function nest in this order."""

    proposed: bool = False
    """Built as a report words it, to be compared with; not a repair of ours."""

    excludes: tuple[str, ...] = ()
    """Names of fixes that replace the same thing, so that one process can't have both."""

    databases: tuple[str, ...] = ("postgresql",)
    """Backends that its reasoning about locks holds for; empty if it does not depend on a database."""

    also: Mapping[str, Callable[[ModuleType], None]] = field(default_factory=dict)
    """Further modules to patch, each just after it was executed, once the fix itself is applied."""

    @property
    def name(self) -> str:
        """The name of its module."""
        return self.apply.__module__.split(".")[-1]

    @property
    def race(self) -> str:
        """The race that it removes: the name of its package, which `stress repro` and the reports use, too."""
        return self.apply.__module__.split(".")[-2]

    @property
    def module(self) -> str:
        """The module after whose execution the fix is applied."""
        return self.targets[0].module

    def fits(self, release: str) -> Fit | None:
        """What the fix does on a release; None for a release that was not examined."""
        return self.releases.get(release)

    def judge(self, fingerprints: Mapping[Target, str | None]) -> Verdict:
        """Decide from the fingerprints found for all targets (None: the target isn't there)."""
        agreeing = frozenset(self.releases)
        for target in self.targets:
            agreeing &= target.releases(fingerprints[target])
        fits = {self.releases[release] for release in agreeing}
        return Verdict(fits.pop() if len(fits) == 1 else None, agreeing)


def replacing(module: ModuleType, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: put the function in the place of a module's function that it wraps."""
    stock = getattr(module, name)

    def replace(wrapper: Callable[..., Any]) -> Callable[..., Any]:
        wrapped = functools.wraps(stock)(wrapper)
        setattr(module, name, wrapped)
        return wrapped

    return replace
