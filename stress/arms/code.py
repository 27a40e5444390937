"""What the code of an arm is, for the reports: an arm that is a wheel or a checkout is not its base release."""

from __future__ import annotations

from pathlib import Path

from stress.arms import spec
from stress.arms.spec import Arm
from stress.instrument import revision
from stress.results import ArmCode


def code_of(arm: Arm) -> ArmCode | None:
    """The wheel or checkout of an arm; None for a release. Raises OSError or ValueError if it cannot be read."""
    if not arm.overlay:
        return None
    path = arm.overlay[0]
    version = spec.version_of(path)
    if path.is_file():
        return ArmCode("wheel", path.name, version)
    return ArmCode("checkout", _folder(path).name, version, revision(path) or "")


def _folder(core: Path) -> Path:
    """The checkout that a folder of Python sources belongs to."""
    parts = core.parts
    if parts[-2:] == ("airflow-core", "src"):
        return core.parents[1]
    return core.parent if parts[-1] == "src" else core
