"""The fixes' catalogue as the harness sees it: names, groups, and what fits which release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stress.arms.releases import Release
from stress.layout import make_fixes_importable

make_fixes_importable()

from airflow_stress_fixes import catalogue, source  # noqa: E402 - importable only from here on
from airflow_stress_fixes.fix import Fit, Fix  # noqa: E402


@dataclass(frozen=True)
class FixFacts:
    """What the harness says about a fix."""

    name: str
    race: str
    issue: str
    summary: str
    proposed: bool
    components: tuple[str, ...]


def facts() -> tuple[FixFacts, ...]:
    """All fixes, in the catalogue's order."""
    return tuple(
        FixFacts(fix.name, fix.race, str(fix.thread or ""), fix.summary, fix.proposed, tuple(fix.components))
        for fix in catalogue.FIXES.values()
    )


def components_of(name: str) -> tuple[str, ...]:
    """The roles whose processes must load a fix."""
    return tuple(catalogue.FIXES[name].components)


def resolve(selection: str, release: Release) -> tuple[str, ...]:
    """The names that `all`, `none`, `proposed` or `A+B` means, checked against the release.

    Raises ValueError for an unknown name, and for a fix that does not know the release: it is not verified there that
    it replaces what it means to replace.
    """
    fixes: tuple[Fix, ...] = catalogue.resolve(selection)
    unknown = [fix.name for fix in fixes if fix.fits(release.version) is None]
    if unknown:
        raise ValueError(
            f"fix {', '.join(unknown)} doesn't know Airflow {release.version}; leave it out, or add the release's "
            "fingerprints (fixes/README.md says how)"
        )
    return tuple(fix.name for fix in fixes)


def fit(name: str, release: str) -> str:
    """`applies`, `not_needed` or `unknown`."""
    found: Fit | None = catalogue.FIXES[name].fits(release)
    return found.value if found is not None else "unknown"


def definition(path: Path, name: str) -> str | None:
    """A digest of the source of a function, class or `Class.method` in a file; None if it is not there."""
    try:
        found: str | None = source.fingerprint(path, name)
    except source.SourceError:
        return None
    return found
