"""A checkout of Airflow's repository, or a folder that holds an `airflow` package.

The repository's layout: `airflow-core/src` and `task-sdk/src` are both taken; `shared/*` is reached through the links
in their `_shared` packages; a provider is taken if the release has it installed, since core and providers of one
revision belong together.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import tomllib
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.utils import canonicalize_name

from stress.arms.errors import EnvironmentFailed
from stress.arms.overlay.git import GitFailed, git
from stress.arms.overlay.part import CORE, Package, Part
from stress.cache import cache_directory, exclusive, quiet

SDK = "apache-airflow-task-sdk"
_PROVIDER = "apache-airflow-providers-"
_VERSION_LINE = re.compile(r"""^__version__\s*(?::\s*\w+\s*)?=\s*["']([^"']+)["']""", re.MULTILINE)
_CORES = ("airflow-core/src", "src", "")
"""Where a checkout's `airflow` package may be, the repository's layout first."""

_CHECKOUT_TIMEOUT_S = 300
_WANTED = ("airflow-core/src", "airflow-core/pyproject.toml", "task-sdk/src", "task-sdk/pyproject.toml", "shared")
"""The paths of the repository that a run uses, besides providers: its other 90 % are not written to the cache."""


class Files:
    """Reads files of a checkout: of its work tree, or of a revision without writing it anywhere."""

    def __init__(self, root: Path, revision: str = "") -> None:
        self.root = root
        self.revision = revision

    @cached_property
    def folder(self) -> str:
        """Where the checkout is in its repository, with a slash at its end; empty if it is the whole. Raises GitFailed.

        git's own `REV:./path` needs a work tree, which a bare repository lacks.
        """
        return git(self.root, "rev-parse", "--show-prefix").strip()

    def text(self, path: str) -> str | None:
        """A file's text; None if there is no such file."""
        if self.revision:
            try:
                return git(self.root, "show", f"{self.revision}:{self.folder}{path}")
            except GitFailed:
                return None
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def under(self, directory: str, name: str) -> list[str]:
        """The files of that name below a directory, at most four folders deep."""
        if self.revision:
            listed = git(self.root, "ls-tree", "-r", "--name-only", self.revision, "--", directory).splitlines()
            return sorted(path for path in listed if path.endswith(f"/{name}") and path.count("/") <= 5)
        patterns = ["/".join([*["*"] * depth, name]) for depth in range(1, 5)]
        return sorted(
            str(path.relative_to(self.root)) for pattern in patterns for path in (self.root / directory).glob(pattern)
        )


def read_checkout(path: Path, wanted_revision: str = "") -> Part:
    """Read what a checkout is. Raises ValueError with a sentence: no such revision, no airflow package, no version."""
    revision = commit_of(path, wanted_revision) if wanted_revision else ""
    files = Files(path, revision)
    core = _core_of(files)
    source = f"{core}/airflow/__init__.py".lstrip("/")
    version = _version_in(files.text(source))
    at = f" at {wanted_revision}" if revision else ""
    if version is None:
        raise ValueError(f"{path / source}{at} has no __version__, so the release it is based on is unknown")
    packages = [Package(CORE, version, _requirements(files, core))]
    sdk = _version_in(files.text("task-sdk/src/airflow/sdk/__init__.py"))
    if sdk is not None:
        packages.append(Package(SDK, sdk, _requirements(files, "task-sdk/src")))
    packages += [package for _, package in _providers(files)]
    return Part("checkout", path, tuple(packages), revision)


def source_directories(part: Part, installed: frozenset[str]) -> tuple[Path, ...]:
    """The directories that hold the `airflow` packages of a checkout; providers only if the release has them installed.

    Raises EnvironmentFailed if a revision cannot be written to the cache.
    """
    root = _written(part) if part.revision else part.path
    files = Files(root)
    found = [root / _core_of(files)]
    if (root / "task-sdk" / "src" / "airflow").is_dir():
        found.append(root / "task-sdk" / "src")
    found += [root / directory / "src" for directory, package in _providers(files) if package.name in installed]
    return tuple(found)


def _core_of(files: Files) -> str:
    for core in _CORES:
        if files.text(f"{core}/airflow/__init__.py".lstrip("/")) is not None:
            return core
    at = f" at {files.revision[:12]}" if files.revision else ""
    looked = "airflow-core/src, src and the directory itself"
    raise ValueError(f"no airflow package in {files.root}{at} (looked in {looked})")


def _version_in(text: str | None) -> str | None:
    found = _VERSION_LINE.search(text or "")
    return found[1] if found else None


def _requirements(files: Files, source: str) -> tuple[str, ...]:
    project = _project(files, source.removesuffix("src"))
    return tuple(str(line) for line in project.get("dependencies", ()))


def _project(files: Files, directory: str) -> dict[str, Any]:
    text = files.text(f"{directory.rstrip('/')}/pyproject.toml".lstrip("/"))
    try:
        project = tomllib.loads(text or "").get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{files.root / directory / 'pyproject.toml'} can't be read: {error}") from error
    return project if isinstance(project, dict) else {}


def _providers(files: Files) -> list[tuple[str, Package]]:
    """The directories of the providers in a checkout, and what they are."""
    found = []
    for path in files.under("providers", "pyproject.toml"):
        directory = path.removesuffix("/pyproject.toml")
        project = _project(files, directory)
        name = canonicalize_name(str(project.get("name", "")))
        if name.startswith(_PROVIDER):
            requires = tuple(str(line) for line in project.get("dependencies", ()))
            found.append((directory, Package(name, str(project.get("version", "0")), requires)))
    return found


def commit_of(path: Path, revision: str) -> str:
    """The full commit hash of a revision. Raises ValueError with a sentence if there is none."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a directory, so it has no revision {revision!r}")
    try:
        return git(path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    except GitFailed as error:
        try:
            git(path, "rev-parse", "--git-dir")
        except GitFailed:
            raise ValueError(f"{path} is not a git checkout, so {revision!r} can't be looked up: {error}") from error
        raise ValueError(f"{path} has no revision {revision!r}{if_shallow(path)}") from error


def if_shallow(path: Path) -> str:
    """How to get the commits that a shallow clone lacks, as the end of a sentence; empty for another repository."""
    shallow = git(path, "rev-parse", "--is-shallow-repository").strip() == "true"
    return ", which is a shallow clone: run `git fetch --unshallow` in it" if shallow else ""


def _written(part: Part) -> Path:
    """The files of a revision in the cache. A separate index is used, so the user's repository is not changed.

    They have the places that they have in the repository, where links of a folder may lead out of it. The files of a
    folder are another set than those of the whole repository, so they have a directory of their own.
    """
    try:
        folder = Files(part.path, part.revision).folder
    except GitFailed as error:
        raise EnvironmentFailed(f"{part.path} can't be read as a git checkout: {error}") from error
    name = f"{part.revision}-{hashlib.sha256(folder.encode()).hexdigest()[:12]}" if folder else part.revision
    target = cache_directory() / "checkouts" / name
    complete = target / ".complete"
    with exclusive(target.with_name(target.name + ".lock"), f"write {part.revision[:12]}", _CHECKOUT_TIMEOUT_S, quiet):
        if not complete.is_file():
            shutil.rmtree(target, ignore_errors=True)
            try:
                _write(part, folder, target)
            except (OSError, GitFailed) as error:
                shutil.rmtree(target, ignore_errors=True)
                raise EnvironmentFailed(
                    f"revision {part.revision[:12]} of {part.path} could not be written to {target}: {error}"
                ) from error
            complete.touch()
    return target / folder


def _write(part: Part, folder: str, target: Path) -> None:
    """`folder`: the path of the checkout in its repository, with a slash at its end; empty for the repository."""
    target.mkdir(parents=True)
    files = Files(part.path, part.revision)
    wanted = [folder or "."]
    if _core_of(files) == _CORES[0]:
        wanted = [f"{folder}{path}" for path in (*_WANTED, *(directory for directory, _ in _providers(files)))]
    # The links of a package that is named alone lead to the shared parts of the checkout that it belongs to.
    wanted += [f"{parent}/shared" if parent.name else "shared" for parent in PurePosixPath(folder).parents]
    directory = git(part.path, "rev-parse", "--absolute-git-dir").strip()
    with tempfile.TemporaryDirectory() as temporary:
        # A work tree of our own: a bare repository has none, and the user's stays as it is.
        variables = {
            "GIT_DIR": directory,
            "GIT_WORK_TREE": str(target),
            "GIT_INDEX_FILE": str(Path(temporary) / "index"),
        }
        git(target, "read-tree", part.revision, variables=variables)
        listed = git(target, "ls-files", "-z", "--", *wanted, variables=variables)
        git(target, "checkout-index", "-z", "--stdin", variables=variables, stdin=listed)
    _link_shared(target / folder)


def _link_shared(root: Path) -> None:
    """Supply the links to `shared/*` that a checkout without symbolic links lacks."""
    for package in (root / "airflow-core" / "src" / "airflow", root / "task-sdk" / "src" / "airflow" / "sdk"):
        for source in sorted(root.glob("shared/*/src/airflow_shared/*")):
            link = package / "_shared" / source.name
            if source.is_dir() and package.is_dir() and not link.exists():
                link.parent.mkdir(exist_ok=True)
                (link.parent / "__init__.py").touch()
                link.unlink(missing_ok=True)
                link.symlink_to(source)
