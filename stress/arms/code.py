"""What the code of an arm is, for the reports: an arm with an overlay is not its base release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stress.arms.overlay import Part
from stress.arms.overlay.wheel import digest_of
from stress.arms.releases import Release
from stress.instrument import revision
from stress.results import ArmCode

_REVISION_CHARACTERS = 12


def code_of(release: Release, overlay: Sequence[Part]) -> ArmCode | None:
    """The wheels, checkout or diff of an arm; None for a release. Raises EnvironmentFailed if it cannot be read."""
    if not overlay:
        return None
    main = next((part for part in overlay if part.core_version), overlay[0])
    others = [part for part in overlay if part is not main]
    version = main.packages[0].version if main.packages else release.version
    digests = [digest_of(part.path) for part in (main, *others) if part.path.is_file()]
    return ArmCode(
        main.kind,
        " + ".join(_name(part) for part in (main, *others)),
        version,
        " + ".join(filter(None, map(_revision, (main, *others)))),
        " + ".join(digests),
    )


def _revision(part: Part) -> str:
    if part.kind != "checkout":
        return ""
    return part.revision[:_REVISION_CHARACTERS] or revision(part.path) or ""


def _name(part: Part) -> str:
    """The file's or the folder's name; for a folder of sources, that of the checkout it belongs to."""
    path: Path = part.path
    if path.parts[-2:] == ("airflow-core", "src"):
        return path.parents[1].name
    return path.parent.name if path.name == "src" else path.name
