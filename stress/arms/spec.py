"""Reads an arm as the user writes it.

    NAME[=airflow:VERSION|PATH[@REV][+PATH...]|diff:FILE][,fixes:all|none|proposed|A+B][,config:section.key=value]...

    stock                                       the run's release as it is: fixes:none
    proposed                                    with the fixes just as the three reports word them
    fixed                                       with ours: fixes:all
    mine=/src/airflow,fixes:none                a checkout, or a wheel of apache-airflow-core
    mine=/src/airflow@my-branch                 a revision of it
    rc=core.whl+task_sdk.whl                    several wheels
    patch=airflow:3.3.2,diff:my.diff            a release with a diff (without airflow:, the run's release)
    wide=fixes:all,config:scheduler.max_tis_per_query=64

What follows the `=` is a list of items in any order; a bare item is a path. A comma that no `word:` follows belongs to
the value before it, so that a config value may hold commas.

Code of one's own is an *overlay* (`stress.arms.overlay`): its `airflow` packages go before those of the environment of
its base release, whose dependencies it uses. The base is the release that the core's version names, or the newest one
before it; where the overlay has no core (a task-sdk wheel alone), and for a diff, it is the run's release.

Every mistake in an arm is collected, so that the user repairs them all at once. Nothing is written while reading one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stress.arms.errors import ArmSpecError, UnknownRelease
from stress.arms.overlay.checkout import read_checkout
from stress.arms.overlay.diff import read_diff
from stress.arms.overlay.part import Part
from stress.arms.overlay.wheel import read_wheel
from stress.arms.releases import Release, base_release, check

FIX_GROUPS = ("all", "none", "proposed")
ALONE = {"stock": "none", "proposed": "proposed", "fixed": "all"}
"""The arms whose name says which fixes they have."""

_NAME = re.compile(r"[a-z0-9_-]{1,32}")
_FIX_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_OPTION = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*\.[a-z0-9_]+")
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
    overlay: tuple[Part, ...] = ()
    fixes: tuple[str, ...] = ()
    config: tuple[tuple[str, str], ...] = ()


def read_airflow(value: str) -> tuple[Release | None, tuple[Part, ...]]:
    """Read `VERSION` or `PATH[@REV][+PATH...]`: the release whose packages are used, and what is laid over them.

    No release: the code names none (a task-sdk without a core). Raises UnknownRelease or ValueError with a sentence.
    """
    try:
        if not _is_path(value):
            return check(value), ()
        parts = _parts(value)
        core = next((part.core_version for part in parts if part.core_version), None)
        return base_release(core) if core is not None else None, parts
    except (OSError, RuntimeError) as error:  # no such user, a name too long, a directory that we may not look into
        raise ValueError(f"{value!r} can't be used: {getattr(error, 'strerror', None) or error}") from error


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

    if draft.overlay and draft.diff is not None:
        draft.problem("a diff is laid over a release, not over a wheel or a checkout: give one of them")
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
    overlay = draft.overlay if draft.diff is None else (draft.diff,)
    return Arm(name, release, overlay, names, tuple(draft.config.items()))


def arm_text(arm: Arm) -> str:
    """The arm as a user may write it: absolute paths, full hashes of commits, each fix by its name."""
    code = [f"{part.path}@{part.revision}" if part.revision else str(part.path) for part in arm.overlay]
    diff = [part.path for part in arm.overlay if part.kind == "diff"]
    items = [
        f"airflow:{'+'.join(code) if code and not diff else arm.airflow.version}",
        *(f"diff:{path}" for path in diff),
        f"fixes:{'+'.join(arm.fixes) or 'none'}",
        *(f"config:{option}={value}" for option, value in arm.config),
    ]
    return f"{arm.name}={','.join(items)}"


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
        f"arm {name!r} is given {count} times: each arm needs another name"
        for name, count in counts.items()
        if count > 1
    )


class _Draft:
    """An arm while it is being read, with what is wrong with it so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[str] = []
        self.airflow: str | None = None
        self.release: Release | None = None
        self.overlay: tuple[Part, ...] = ()
        self.diff: Part | None = None
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
        elif keyword == "diff":
            self._take_diff(value)
        elif keyword == "fixes":
            self._take_fixes(value)
        elif keyword == "config":
            self._take_config(value)
        else:
            self.problem(f"unknown item {item!r}: there are airflow:, diff:, fixes: and config:")

    def _take_airflow(self, value: str) -> None:
        if self.airflow is not None:
            self.problem(f"both {self.airflow!r} and {value!r} can't be its airflow{_joining(value)}")
            return
        self.airflow = value
        try:
            self.release, self.overlay = read_airflow(value)
        except (UnknownRelease, ValueError) as error:
            self.problem(str(error))

    def _take_diff(self, value: str) -> None:
        if self.diff is not None:
            self.problem("diff: is given twice; join the diffs in one file")
            return
        try:
            self.diff = read_diff(Path(value).expanduser().absolute())
        except (ValueError, RuntimeError) as error:
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


def _is_path(value: str) -> bool:
    return "/" in value or value.endswith(".whl") or any(map(_on_disk, (value, *value.split("+"))))


def _parts(value: str) -> tuple[Part, ...]:
    """Read `PATH[@REV][+PATH[@REV]]...`. A path that exists may itself hold `+` or `@`."""
    pieces = value.split("+")
    parts: list[Part] = []
    while pieces:
        length = next((n for n in range(len(pieces), 1, -1) if _on_disk("+".join(pieces[:n]))), 1)
        parts.append(_part("+".join(pieces[:length])))
        pieces = pieces[length:]
    counts = Counter(package.name for part in parts for package in part.packages if part.kind == "wheel")
    twice = [f"{name} is given {count} times" for name, count in counts.items() if count > 1]
    if sum(part.kind == "checkout" for part in parts) > 1:
        twice.append("several checkouts are given")
    if twice:
        raise ValueError(f"{'; '.join(twice)}: give each once")
    return tuple(parts)


def _part(text: str) -> Part:
    path, revision = Path(text).expanduser(), ""
    if "@" in text and not path.exists():
        before, _, revision = text.rpartition("@")
        path = Path(before).expanduser()
        if not revision:
            raise ValueError(f"{text!r} names no revision after '@'")
    path = path.absolute()
    if ".whl," in text and not path.exists():
        raise ValueError(f"{text!r} is no file{_joining(text)}")
    if path.suffix == ".whl" and not path.is_dir():
        if revision:
            raise ValueError(f"{path} is a wheel, and has no revision {revision!r}")
        return read_wheel(path)
    if not path.is_dir():
        raise ValueError(f"{path} is neither a wheel nor a directory")
    return read_checkout(path, revision)


def _joining(value: str) -> str:
    """How to give several wheels, as the end of a sentence."""
    return ": join wheels with '+', as in a.whl+b.whl" if value.endswith(".whl") else ""


def _on_disk(text: str) -> bool:
    path = Path(text).expanduser()
    return path.exists() or ("@" in text and Path(text.rpartition("@")[0]).expanduser().is_dir())
