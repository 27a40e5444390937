"""All fixes by name, and the groups they are asked for by.

The harness imports this: ``FIXES``, ``GROUPS``, ``resolve``, ``FixSelectionError``. Nothing here needs
Airflow.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import airflow_stress_fixes
from airflow_stress_fixes.fix import Fix


class FixSelectionError(ValueError):
    """A selection of fixes that can't be made; the message says what can."""


def _found() -> list[Fix]:
    """The fixes of each race's package, in the order in which they are applied."""
    package = airflow_stress_fixes
    races = [module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
    found = [fix for race in races for fix in importlib.import_module(f"{package.__name__}.{race}").FIXES]
    return sorted(found, key=lambda fix: (fix.proposed, fix.place, fix.name))


FIXES: Mapping[str, Fix] = MappingProxyType({fix.name: fix for fix in _found()})
"""Every fix by its name."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all": tuple(fix.name for fix in FIXES.values() if not fix.proposed),
        "none": (),
        "proposed": tuple(fix.name for fix in FIXES.values() if fix.proposed),
    }
)
"""``all``: ours. ``proposed``: what the reports propose. ``none``: stock."""


def split(selection: str) -> tuple[str, ...]:
    """The names in ``a,b`` or ``a+b``."""
    return tuple(name for name in re.split(r"[,+\s]+", selection) if name)


def resolve(selection: str | Iterable[str]) -> tuple[Fix, ...]:
    """The fixes that names and groups mean, in the catalogue's order, each once.

    :param selection: ``"a+b"``, ``"a,b"``, a group's name, or several such names.
    :raises FixSelectionError: for an unknown name, or for fixes that exclude each other.
    """
    names = split(selection) if isinstance(selection, str) else tuple(n for item in selection for n in split(item))
    wanted: set[str] = set()
    for name in names:
        if name in GROUPS:
            wanted.update(GROUPS[name])
        elif name in FIXES:
            wanted.add(name)
        else:
            raise FixSelectionError(
                f"unknown fix {name!r}: the fixes are {', '.join(FIXES)}; the groups are {', '.join(GROUPS)}"
            )
    fixes = tuple(fix for fix in FIXES.values() if fix.name in wanted)
    check_compatible(fixes)
    return fixes


def check_compatible(fixes: Iterable[Fix]) -> None:
    """Refuse fixes that replace the same thing.

    :raises FixSelectionError: names the two that can't be together.
    """
    chosen = {fix.name: fix for fix in fixes}
    for fix in chosen.values():
        for other in fix.excludes:
            if other in chosen:
                raise FixSelectionError(f"{fix.name} and {other} replace the same code: choose one of them")
