"""Reads an arm as the user writes it.

    NAME[=airflow:X.Y.Z|PATH][,fixes:all|none|proposed|A+B][,config:section.key=value]...

    stock                                       the run's release as it is: fixes:none
    proposed                                    with the fixes just as the three reports word them
    fixed                                       with ours: fixes:all
    mine=/src/airflow,fixes:none                a checkout, or a wheel of apache-airflow-core
    wide=fixes:all,config:scheduler.max_tis_per_query=64

What follows the `=` is a list of items in any order; a bare item is a path. A comma that no `word:` follows belongs to
the value before it, so that a config value may hold commas.

A checkout or a wheel is an *overlay*: its `airflow` package goes before that of the environment of its base release
(the one its `__version__` names, or the newest before it), whose dependencies it uses. A wheel is unpacked into the
cache, since Airflow reads its templates and migrations as files.

Every mistake in an arm is collected, so that the user mends them all at once. Nothing is written while reading one:
`unpacked` does that later.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from stress.arms.errors import ArmSpecError, EnvironmentFailed, UnknownRelease
from stress.arms.releases import Release, base_release, check
from stress.cache import cache_directory, exclusive, quiet

FIX_GROUPS = ("all", "none", "proposed")
ALONE = {"stock": "none", "proposed": "proposed", "fixed": "all"}
"""The arms whose name says which fixes they have."""

_NAME = re.compile(r"[a-z0-9_-]{1,32}")
_FIX_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_OPTION = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*\.[a-z0-9_]+")
_VERSION_LINE = re.compile(r"""^__version__\s*=\s*["']([^"']+)["']""", re.MULTILINE)
_ITEM_START = re.compile(r"[a-z]+:(?!//)")

FixResolver = Callable[[str, Release], tuple[str, ...]]
"""Turns `all`, `none`, `proposed` or `A+B` into the names of fixes that fit the release; raises ValueError with a
sentence when it can't. The fixes are another package's business."""


@dataclass(frozen=True)
class Arm:
    """One thing under test: a release or an overlay above one, the fixes in it, and config overrides.

    `fixes` holds names, none for `fixes:none`; if no resolver was given, any other group or list as the user wrote it.
    """

    name: str
    airflow: Release
    overlay: tuple[Path, ...] = ()
    fixes: tuple[str, ...] = ()
    config: tuple[tuple[str, str], ...] = ()


def parse_arm(text: str, default: Release, resolve_fixes: FixResolver | None = None) -> Arm:
    """Read one arm. Raises `ArmSpecError` with everything that is wrong with it."""
    name, items = _split(text)
    draft = _Draft(name)
    if not _NAME.fullmatch(name):
        draft.problem(f"{name!r} can't be a name: use 1 to 32 of the characters a-z, 0-9, '-' and '_'")
    elif not items and name not in ALONE:
        draft.problem(f"say what it is, for example {name}=fixes:all (only {', '.join(ALONE)} need not)")
    for item in items:
        draft.take(item)

    release = draft.release or default
    group = draft.fixes if draft.fixes is not None else ALONE.get(name, "none")
    names: tuple[str, ...] = () if group == "none" else (group,)
    if resolve_fixes is not None and not _fix_problems(group):
        try:
            names = resolve_fixes(group, release)
        except ValueError as error:
            draft.problem(str(error))
    if draft.problems:
        raise ArmSpecError(tuple(draft.problems))
    return Arm(name, release, draft.overlay, names, tuple(draft.config.items()))


def parse_arms(texts: Sequence[str], default: Release, resolve_fixes: FixResolver | None = None) -> tuple[Arm, ...]:
    """Read all arms of a run; raises one `ArmSpecError` with everything that is wrong with any of them."""
    arms: list[Arm] = []
    problems: list[str] = []
    for text in texts:
        try:
            arms.append(parse_arm(text, default, resolve_fixes))
        except ArmSpecError as error:
            problems.extend(error.problems)
    problems.extend(check_arms(arms))
    if problems:
        raise ArmSpecError(tuple(dict.fromkeys(problems)))
    return tuple(arms)


def check_arms(arms: Sequence[Arm]) -> tuple[str, ...]:
    """What is wrong with the arms together."""
    counts = Counter(arm.name for arm in arms)
    return tuple(
        f"arm {name!r} is given {count} times: each needs a name of its own"
        for name, count in counts.items()
        if count > 1
    )


def unpacked(arm: Arm) -> tuple[Path, ...]:
    """The arm's overlay as directories: wheels are unpacked into the cache, by their content's digest."""
    return tuple(_unpack(path) if path.is_file() else path for path in arm.overlay)


class _Draft:
    """An arm while it is being read, with what is wrong with it so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[str] = []
        self.airflow: str | None = None
        self.release: Release | None = None
        self.overlay: tuple[Path, ...] = ()
        self.fixes: str | None = None
        self.config: dict[str, str] = {}

    def problem(self, sentence: str) -> None:
        self.problems.append(f"arm {self.name!r}: {sentence}")

    def take(self, item: str) -> None:
        """Read one item."""
        keyword, _, value = item.partition(":")
        if not _ITEM_START.match(item):
            self._take_airflow(item)
        elif keyword == "airflow":
            self._take_airflow(value)
        elif keyword == "fixes":
            self._take_fixes(value)
        elif keyword == "config":
            self._take_config(value)
        else:
            self.problem(f"unknown item {item!r}: there are airflow:, fixes: and config:")

    def _take_airflow(self, value: str) -> None:
        if self.airflow is not None:
            self.problem(f"both {self.airflow!r} and {value!r} can't be its airflow")
            return
        self.airflow = value
        try:
            self.release, self.overlay = _airflow(value)
        except (UnknownRelease, ValueError) as error:
            self.problem(str(error))

    def _take_fixes(self, value: str) -> None:
        if self.fixes is not None:
            self.problem("fixes: is given twice; join their names with '+'")
        self.fixes = value
        for sentence in _fix_problems(value):
            self.problem(sentence)

    def _take_config(self, value: str) -> None:
        option, separator, setting = value.partition("=")
        if not separator or not _OPTION.fullmatch(option):
            self.problem(f"'config:{value}' must be config:section.key=value, in lower case")
        elif option in self.config:
            self.problem(f"config {option} is given twice")
        else:
            self.config[option] = setting


def _split(text: str) -> tuple[str, list[str]]:
    match = re.match(r"[^=,]*", text)
    name = match[0] if match else ""
    rest = text[len(name) + 1 :]
    items: list[str] = []
    for part in rest.split(",") if rest else []:
        if items and items[-1].startswith("config:") and not _ITEM_START.match(part):
            items[-1] += "," + part
        else:
            items.append(part)
    return name, items


def _fix_problems(value: str) -> list[str]:
    names = value.split("+")
    problems = [f"{name!r} can't be the name of a fix" for name in names if not _FIX_NAME.fullmatch(name)]
    if len(names) > 1:
        problems += [f"fixes:{name} can't be joined with others" for name in names if name in FIX_GROUPS]
    problems += [f"fix {name} is named {count} times" for name, count in Counter(names).items() if count > 1]
    return problems


def _airflow(value: str) -> tuple[Release, tuple[Path, ...]]:
    try:
        path = Path(value).expanduser()
        if "/" in value or value.endswith(".whl") or path.exists():
            return _overlay(path.absolute())
    except (OSError, RuntimeError) as error:  # no such user, a name too long, a directory that we may not look into
        raise ValueError(f"{value!r} can't be used: {getattr(error, 'strerror', None) or error}") from error
    return check(value), ()


def _overlay(path: Path) -> tuple[Release, tuple[Path, ...]]:
    if path.is_file() and path.suffix == ".whl":
        return base_release(_wheel_version(path)), (path,)
    if not path.is_dir():
        raise ValueError(f"{path} is neither a wheel nor a directory")
    for core in (path / "airflow-core" / "src", path / "src", path):
        source = core / "airflow" / "__init__.py"
        if source.is_file():
            version = version_of(core)
            sdk = path / "task-sdk" / "src"
            return base_release(version), (core, sdk) if sdk.is_dir() else (core,)
    raise ValueError(f"no airflow package in {path} (looked in airflow-core/src, src and the directory itself)")


def version_of(code: Path) -> str:
    """The version that a wheel or a folder of sources names. Raises ValueError if it names none."""
    if code.is_file():
        return _wheel_version(code)
    source = code / "airflow" / "__init__.py"
    version = _VERSION_LINE.search(source.read_text(encoding="utf-8", errors="replace"))
    if version is None:
        raise ValueError(f"{source} has no __version__, so the release it is based on can't be told")
    return version[1]


def _wheel_version(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as wheel:
            names = wheel.namelist()
            metadata = next((name for name in names if name.endswith(".dist-info/METADATA")), None)
            if "airflow/__init__.py" not in names or metadata is None:
                raise ValueError(f"{path} holds no airflow package: give the wheel of apache-airflow-core")
            version = HeaderParser().parsestr(wheel.read(metadata).decode("utf-8", "replace"))["Version"]
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} can't be read as a wheel: {error}") from error
    return str(version)


def _unpack(wheel: Path) -> Path:
    target = cache_directory() / "overlays" / f"{wheel.stem}-{hashlib.sha256(wheel.read_bytes()).hexdigest()[:12]}"
    complete = target / ".complete"
    with exclusive(target.with_name(target.name + ".lock"), f"unpack {wheel.name}", 60, quiet):
        if not complete.is_file():
            shutil.rmtree(target, ignore_errors=True)
            try:
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(target)
            except (OSError, zipfile.BadZipFile) as error:
                raise EnvironmentFailed(f"{wheel} could not be unpacked into {target}: {error}") from error
            complete.touch()
    return target
