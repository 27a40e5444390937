"""A unified diff against Airflow's repository, applied to a copy of a release's installed packages.

A pull request's diff names the repository's paths (`airflow-core/src/airflow/...`, `task-sdk/src/airflow/sdk/...`,
`providers/standard/src/airflow/...`, `shared/logging/src/airflow_shared/logging/...`). Installed, all are below one
`airflow` directory, and each shared part is there twice. Files that no component reads (tests, documents, the user
interface) are left out. `git apply` then applies the rest or nothing.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stress.arms.errors import EnvironmentFailed
from stress.arms.overlay.git import GitFailed, git
from stress.arms.overlay.part import Part
from stress.arms.overlay.wheel import digest_of
from stress.cache import cache_directory, exclusive, quiet

_APPLY_TIMEOUT_S = 120
_NOWHERE = "/dev/null"
_HEADER = re.compile(r"^(--- |\+\+\+ |rename from |rename to |copy from |copy to )([^\t\n]*)(.*)$")
_GIT_LINE = re.compile(r"^diff --git (?:a/)?(\S+) (?:b/)?(\S+)$")
_HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_PACKAGE = re.compile(r"^(?:airflow-core/src/|task-sdk/src/|providers/(?:[^/]+/){1,4}src/|src/)?(airflow/.+)$")
_SHARED = re.compile(r"^shared/[^/]+/src/airflow_shared/(.+)$")
_UNUSED = re.compile(r"^airflow/ui/")


@dataclass(frozen=True)
class FileDiff:
    """The part of a diff that is about one file. `lines` are the whole part's, headers included."""

    old: str
    new: str
    lines: tuple[str, ...]

    def rewritten(self, old: str, new: str) -> str:
        """The same change for other paths, in git's form."""
        result = [f"diff --git a/{old if old != _NOWHERE else new} b/{new if new != _NOWHERE else old}"]
        body = False
        for line in self.lines:
            if line.startswith("@@"):
                body = True
            header = None if body else _HEADER.match(line)
            if header is not None:
                path = old if header[1] in ("--- ", "rename from ", "copy from ") else new
                prefix = {"--- ": "a/", "+++ ": "b/"}.get(header[1], "") if path != _NOWHERE else ""
                result.append(f"{header[1]}{prefix}{path}")
            elif not _GIT_LINE.match(line) or body:
                result.append(line)
        return "\n".join(result) + "\n"


def read_diff(path: Path) -> Part:
    """Read a diff. Raises ValueError with a sentence if it is none, or changes nothing that a release runs."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from error
    files = list(split(text))
    if not files:
        raise ValueError(f"{path} is not a unified diff: it has no file headers (--- and +++)")
    for file in files:
        if _NOWHERE not in (file.old, file.new) and bool(installed_paths(file.old)) != bool(installed_paths(file.new)):
            raise ValueError(
                f"{path} moves {file.old} to {file.new}, in or out of what Airflow runs: give the diff without renames "
                "(git diff --no-renames)"
            )
    if not any(installed_paths(file.new if file.new != _NOWHERE else file.old) for file in files):
        named = ", ".join(dict.fromkeys(file.new for file in files[:3]))
        raise ValueError(f"{path} changes no file that Airflow runs (it changes {named}): name the diff of its source")
    return Part("diff", path)


def split(text: str) -> Iterator[FileDiff]:
    """The diff's parts, a file each."""
    lines = text.splitlines()
    starts = list(_starts(lines))
    for start, end in itertools.pairwise([*starts, len(lines)]):
        part = tuple(lines[start:end])
        old, new = _paths(part)
        if old or new:
            yield FileDiff(old, new, part)


def installed_paths(path: str) -> tuple[str, ...]:
    """Where a file of the repository is in an installed release; empty if no component reads it."""
    if shared := _SHARED.match(path):
        return f"airflow/_shared/{shared[1]}", f"airflow/sdk/_shared/{shared[1]}"
    if (package := _PACKAGE.match(path)) and not _UNUSED.match(package[1]) and ".." not in PurePosixPath(path).parts:
        return (package[1],)
    return ()


def apply(part: Part, site_packages: Path, base: str) -> Path:
    """A copy of the installed `airflow` packages with the diff in it, in the cache. Raises EnvironmentFailed.

    `base` names the environment that `site_packages` belongs to: the same diff may be laid over several.
    """
    target = cache_directory() / "overlays" / f"diff-{digest_of(part.path)}-{base}"
    complete = target / ".complete"
    with exclusive(target.with_name(target.name + ".lock"), f"apply {part.path.name}", _APPLY_TIMEOUT_S, quiet):
        if not complete.is_file():
            shutil.rmtree(target, ignore_errors=True)
            try:
                shutil.copytree(site_packages / "airflow", target / "airflow", symlinks=True, copy_function=_link)
                _apply(part, target)
            except (OSError, shutil.Error, GitFailed) as error:
                shutil.rmtree(target, ignore_errors=True)
                raise EnvironmentFailed(f"{part.path} does not apply to the packages of {base}: {error}") from error
            complete.touch()
    return target


def _apply(part: Part, target: Path) -> None:
    text = part.path.read_text(encoding="utf-8", errors="surrogateescape")
    pieces = [piece for file in split(text) for piece in _pieces(file, target)]
    with tempfile.TemporaryDirectory() as temporary:
        rewritten = Path(temporary) / "diff"
        rewritten.write_text("".join(pieces), encoding="utf-8", errors="surrogateescape")
        # Without a ceiling git would take a repository above the cache for the one to apply to, and skip our files.
        variables = {"GIT_CEILING_DIRECTORIES": str(target.parent.resolve()), "GIT_DIR": str(target / "no-repository")}
        git(target, "apply", "-p1", "--whitespace=nowarn", str(rewritten), variables=variables)


def _pieces(file: FileDiff, target: Path) -> Iterator[str]:
    """The file's change for each place where the release has it."""
    olds = [_NOWHERE] * 2 if file.old == _NOWHERE else installed_paths(file.old)
    news = [_NOWHERE] * 2 if file.new == _NOWHERE else installed_paths(file.new)
    applied = False
    for old, new in zip(olds, news, strict=False):
        place = new if old == _NOWHERE else old
        # A shared part is only where a package uses it.
        if "/_shared/" not in place or (target / place).parent.is_dir():
            applied = True
            yield file.rewritten(old, new)
    if not applied and (installed_paths(file.old) or installed_paths(file.new)):
        raise GitFailed(f"no package of the release has the shared part of {file.new}")


def _link(source: str, target: str) -> str:
    """Copy a file by a hard link. git replaces a file that it changes, so that the original stays as it is."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _starts(lines: Sequence[str]) -> Iterator[int]:
    """Where each file's part begins: at git's line, or at `---` in a diff that git did not write. Lines of hunks that
    look like headers are counted as what they are."""
    number = 0
    in_git_part = False
    while number < len(lines):
        line = lines[number]
        if hunk := _HUNK.match(line):
            old, new = (int(count) if count is not None else 1 for count in hunk.groups())
            number += 1
            while number < len(lines) and (old > 0 or new > 0):
                sign = lines[number][:1]
                old -= sign in ("-", " ", "")
                new -= sign in ("+", " ", "")
                number += 1
            in_git_part = False
            continue
        if line.startswith("diff --git "):
            in_git_part = True
            yield number
        elif line.startswith("--- ") and number + 1 < len(lines) and lines[number + 1].startswith("+++ "):
            if not in_git_part:
                yield number
            in_git_part = False
        number += 1


def _paths(part: Sequence[str]) -> tuple[str, str]:
    """The old and the new path of a part, without git's `a/` and `b/`."""
    found: dict[str, str] = {}
    for line in part:
        if line.startswith("@@"):
            break
        if header := _HEADER.match(line):
            side = "old" if header[1] in ("--- ", "rename from ", "copy from ") else "new"
            path = header[2].strip()
            if header[1] in ("--- ", "+++ ") and path != _NOWHERE:
                path = re.sub(r"^[ab]/", "", path)
            found[side] = path
    if not found and (names := _GIT_LINE.match(part[0])):
        return names[1], names[2]
    return found.get("old", ""), found.get("new", "")
