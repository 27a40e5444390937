"""Which reproducers a diff concerns.

Each reproducer names the fix that removes it alone, and each fix names the code that it replaces and the functions that
its reasoning depends on. A diff concerns a reproducer if the source of one of these definitions differs between the two
revisions. If none does, the reproducers of fixes with code in a changed module are taken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from stress.arms.fixes import definition
from stress.arms.overlay.checkout import Files
from stress.arms.overlay.diff import installed_paths
from stress.arms.overlay.git import git
from stress.races.race import Race, Reproducer


def touched(repo: Path, base: str, head: str, races: Iterable[Race]) -> dict[str, str]:
    """The reproducers that the difference of two commits concerns, each with the reason. Raises GitFailed."""
    changed = git(repo, "diff", "--name-only", "--no-renames", "--relative", base, head).splitlines()
    modules = {module: path for path in changed for module in _modules(path)}
    reproducers = [reproducer for race in races for reproducer in race.reproducers]
    old, new = Files(repo, base), Files(repo, head)
    named = {target for each in reproducers for target in each.removed_by.targets if target.module in modules}
    differ = {
        target
        for target in named
        if _defined(old.text(modules[target.module]), target.name)
        != _defined(new.text(modules[target.module]), target.name)
    }
    by_definition = {
        each.name: f"the diff changes {_targets(each, differ)}" for each in _concerned(reproducers, differ)
    }
    return by_definition or {
        each.name: f"the diff changes the module of {_targets(each, named)}" for each in _concerned(reproducers, named)
    }


def _modules(path: str) -> Iterator[str]:
    for installed in installed_paths(path):
        if installed.endswith(".py"):
            yield installed.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _concerned(reproducers: Iterable[Reproducer], targets: AbstractSet[object]) -> list[Reproducer]:
    return [each for each in reproducers if targets & set(each.removed_by.targets)]


def _targets(reproducer: Reproducer, targets: AbstractSet[object]) -> str:
    return ", ".join(dict.fromkeys(str(target) for target in reproducer.removed_by.targets if target in targets))


def _defined(text: str | None, name: str) -> str | None:
    """A digest of a definition's source; None where it is absent."""
    if text is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "module.py"
        path.write_text(text, encoding="utf-8")
        return definition(path, name)
