"""Whether the packages below an overlay are what the overlay requires.

Dependencies are never installed for an overlay: it runs on those of its base release. So what it requires is compared
with the base's lock before anything starts, and each requirement that is not met is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from stress.arms.overlay.part import Package, Part

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)


def locked_versions(lock: str) -> dict[str, str]:
    """The packages of a lock and their versions, for this Python and this machine."""
    return {
        canonicalize_name(name): version
        for name, version, marker in _PIN.findall(lock)
        if not marker or Marker(marker).evaluate()
    }


def unmet(parts: Sequence[Part], base: Mapping[str, str]) -> list[str]:
    """What the parts require and neither they nor the base have, a sentence each.

    Packages of one checkout are made for each other. They are not compared, even if they name other versions.
    """
    supplied = {package.name: package.version for part in parts for package in part.packages}
    sentences = []
    for part in parts:
        own = {package.name for package in part.packages}
        for package in part.packages:
            # A provider that the base lacks is not used (`source_directories`).
            if package.name.startswith("apache-airflow-providers-") and package.name not in base:
                continue
            for requirement in map(_read, package.requires):
                if requirement is None or canonicalize_name(requirement.name) in own:
                    continue
                has = {**base, **supplied}.get(canonicalize_name(requirement.name))
                if not _meets(has, requirement):
                    sentences.append(_sentence(package, requirement, has))
    return list(dict.fromkeys(sentences))


def misfits(parts: Sequence[Part]) -> list[str]:
    """What the packages of the parts require of each other and do not have, a sentence each.

    A branch may name versions that are not out yet, so this explains a failure, and is none by itself.
    """
    packages = [package for part in parts for package in part.packages]
    supplied = {package.name: package.version for package in packages}
    wanted = [(package, requirement) for package in packages for requirement in map(_read, package.requires)]
    return [
        _sentence(package, requirement, supplied[name])
        for package, requirement in wanted
        if requirement is not None
        and (name := canonicalize_name(requirement.name)) in supplied
        and not _meets(supplied[name], requirement)
    ]


def _sentence(package: Package, requirement: Requirement, has: str | None) -> str:
    wanted = f"{requirement.name}{requirement.specifier}"
    return f"{package.name} {package.version} requires {wanted}, and there is {has or 'none'}"


def _read(line: str) -> Requirement | None:
    """A requirement that holds here; None for one of an extra or of another Python."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return None
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return None
    return requirement


def _meets(version: str | None, requirement: Requirement) -> bool:
    if version is None:
        return False
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
