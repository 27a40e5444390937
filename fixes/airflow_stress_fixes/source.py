"""Fingerprints of Airflow's source, read from files: no Airflow module is imported or run.

A fingerprint is the SHA-256 of a function's, method's or class's source text, decorators included, with the
trailing white space of each line and the line ends normalised. Comments count: a maintainer who changed a
comment beside the code that we replace may have changed the reasoning too.

``python -m airflow_stress_fixes.source SITE_PACKAGES...`` prints, for one or more directories in the order
of ``sys.path`` (an overlay or checkout first), each target's fingerprint and each fix's verdict. To add a
release: run it on that release, read the source that changed, add the fingerprints to ``known_sources`` and
the release to the table of each fix.

Limits: it knows files, not what a process does to them later (another monkeypatch, a stale ``.pyc``).
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from airflow_stress_fixes.fix import Fit, Fix, Target


class SourceError(Exception):
    """A file could not be read or parsed as Python source."""


def find_module_file(module: str, roots: Iterable[Path]) -> Path | None:
    """Find the file that ``import module`` would execute, for the directories of ``sys.path``.

    Airflow's top package extends its path over all directories that hold an ``airflow`` package, so a
    checkout in front of site-packages hides single subpackages, not the whole.
    """
    *packages, leaf = module.split(".")
    folders = list(roots)
    for depth, package in enumerate(packages):
        found = [folder / package for folder in folders if (folder / package).is_dir()]
        regular = [folder for folder in found if (folder / "__init__.py").is_file()]
        # The top package spans all regular ones; below it the first one hides the others. A directory without
        # __init__.py counts only where there is no regular package at all.
        folders = (regular if depth == 0 else regular[:1]) or found
    for folder in folders:
        for candidate in (folder / leaf / "__init__.py", folder / f"{leaf}.py"):
            if candidate.is_file():
                return candidate
    return None


@lru_cache(maxsize=32)
def _parse(path: Path) -> tuple[ast.Module, tuple[str, ...]]:
    try:
        text = path.read_text(encoding="utf-8")
        return ast.parse(text), tuple(text.splitlines())
    except (OSError, SyntaxError, ValueError) as error:
        raise SourceError(f"{path}: {error}") from error


def cut_out(path: Path, name: str) -> str | None:
    """The normalised source of a function, class or ``Class.method`` in a file; None if it isn't there."""
    tree, lines = _parse(path)
    body: list[ast.stmt] = tree.body
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None = None
    for part in name.split("."):
        named = [
            child
            for child in body
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and child.name == part
        ]
        if not named:
            return None
        node = named[-1]  # the last definition is the one that the name means at run time
        body = node.body
    if node is None:
        return None
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(line.rstrip() for line in lines[first - 1 : node.end_lineno])


def fingerprint(path: Path | None, name: str) -> str | None:
    """Fingerprint of a definition in a file; None if the file or the definition isn't there."""
    text = cut_out(path, name) if path is not None else None
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def fingerprints(fix: Fix, roots: Sequence[Path]) -> dict[Target, str | None]:
    """Fingerprints of all targets of a fix, in the directories of ``sys.path``."""
    return {target: fingerprint(find_module_file(target.module, roots), target.name) for target in fix.targets}


def release_of(roots: Iterable[Path]) -> str:
    """The release that the files say they are; ``unknown`` if they don't say."""
    path = find_module_file("airflow", roots)
    if path is not None:
        match = re.search(r"""^__version__\s*=\s*["']([^"']+)["']""", path.read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            return match.group(1)
    return "unknown"


def main(arguments: Sequence[str]) -> int:
    """Print fingerprints and verdicts; 0 if each fix knows this source, 1 if not, 64 for bad arguments."""
    from airflow_stress_fixes.catalogue import FIXES

    roots = [Path(argument) for argument in arguments]
    missing = [str(root) for root in roots if not root.is_dir()]
    if not roots or missing:
        print("usage: python -m airflow_stress_fixes.source SITE_PACKAGES [SITE_PACKAGES...]", file=sys.stderr)
        print(f"not a directory: {', '.join(missing)}" if missing else "no directory given", file=sys.stderr)
        return 64
    release = release_of(roots)
    print(f"release {release}")
    known = True
    for fix in FIXES.values():
        found = fingerprints(fix, roots)
        verdict = fix.judge(found)
        word = verdict.fit.value if verdict.fit else "UNKNOWN SOURCE"
        expected = fix.fits(release)
        note = "" if verdict.fit is expected else f" (the table of releases says {_word(expected)})"
        print(f"\n{fix.name}: {word}{note}")
        known = known and verdict.fit is not None
        for target, value in found.items():
            same = target.releases(value)
            print(f"  {target}\n    {value or 'not there'}  {_span(same) if same else 'NEW'}")
    return 0 if known else 1


def _word(fit: Fit | None) -> str:
    return fit.value if fit else "nothing"


def _span(releases: Iterable[str]) -> str:
    ordered = sorted(releases)
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]}..{ordered[-1]}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
