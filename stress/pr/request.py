"""The options of `stress pr`, checked. All mistakes are reported together, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stress.arms.environments import environment_for
from stress.arms.errors import ArmSpecError, EnvironmentFailed
from stress.arms.overlay import directories
from stress.arms.overlay.checkout import if_shallow
from stress.arms.overlay.git import GitFailed, git
from stress.arms.releases import DEFAULT_RELEASE
from stress.arms.releases import check as check_release
from stress.arms.spec import parse_arms
from stress.explore import catalogue, options
from stress.explore.options import Arm
from stress.output import output_directory
from stress.plan import BadOptions, Options, Plan, check, overlays_fit
from stress.pr.touched import touched
from stress.races.registry import RACES

CONTROL, UNDER_TEST = "base", "head"
"""The names of the arms."""

MOST_TIMES = 10_000
_TARGETS = ("main", "origin/main", "master", "origin/master")
"""What a head is merged into where no option says so."""


@dataclass(frozen=True)
class Words:
    """The options as the user typed them."""

    repo: str
    head: str
    base: str | None = None
    races: tuple[str, ...] = ()
    times: str = "1"
    load: bool = True
    budget: str = "9.5m"
    metrics_port: str = "9108"
    out: str | None = None


@dataclass(frozen=True)
class Request:
    """A comparison that can be started."""

    repo: Path
    base: str
    """The commit of the merge base."""

    head: str
    control: Arm
    under_test: Arm
    reproducers: tuple[catalogue.Race, ...]
    races: tuple[str, ...]
    """In the order of the registry; each has a reproducer here, a scenario, or both."""

    reasons: Mapping[str, str]
    """Why each race or reproducer was chosen."""

    times: int
    directory: Path
    load: Options | None

    def plan(self, races: Sequence[str]) -> Plan:
        """The load's plan for some of the races. Raises BadOptions."""
        if self.load is None:
            raise ValueError("the load was not asked for")
        return check(replace(self.load, races=tuple(races)))


def with_load(races: Sequence[str]) -> tuple[str, ...]:
    """Those that a load provokes without faults."""
    return tuple(name for name in races if RACES[name].scenario is not None and not RACES[name].needs_faults)


def request_of(words: Words) -> Request:
    """Check everything. Raises BadOptions; nothing runs but an import of Airflow from each revision."""
    mistakes: list[str] = []
    machine: list[str] = []
    times = options.number(words.times, "--times", 1, MOST_TIMES, mistakes)
    repo = Path(words.repo).expanduser().absolute()
    commits = _commits(words, repo, mistakes)
    _check_names(words.races, mistakes)
    label = commits[1][:12] if commits else UNDER_TEST
    directory = output_directory(words.out, Path("prs") / label, mistakes)
    load = _load(words, repo, commits, directory) if words.load else None
    arms = _arms(repo, commits, mistakes, machine) if commits else None
    if arms is None or commits is None or mistakes or machine:
        _check_load(load, ("deadlock",), mistakes, machine)
        raise BadOptions(list(dict.fromkeys(mistakes)), list(dict.fromkeys(machine)))
    chosen, reproducers, reasons = _chosen(words, repo, commits)
    if not chosen:
        mistakes.append("the diff changes no code of a known race: name races with --race (`stress list races`)")
    _check_load(load, with_load(chosen), mistakes, machine)
    if mistakes or machine:
        raise BadOptions(list(dict.fromkeys(mistakes)), list(dict.fromkeys(machine)))
    return Request(repo, *commits, *arms, reproducers, chosen, reasons, times, directory, load)


def _commits(words: Words, repo: Path, mistakes: list[str]) -> tuple[str, str] | None:
    """The merge base and the head."""
    mistakes.extend(f"{option} is required" for option in ("--repo", "--head") if not getattr(words, option[2:]))
    if not words.repo or not _is_repository(repo, mistakes):
        return None
    head = _commit(repo, words.head) if words.head else None
    if head is None and words.head:
        mistakes.append(f"--head {words.head!r}: {repo} has no such revision{if_shallow(repo)}")
    names = _TARGETS if words.base is None else (words.base,)
    target = next((commit for commit in (_commit(repo, name) for name in names) if commit), None)
    if target is None and words.base is not None:
        mistakes.append(f"--base {words.base!r}: {repo} has no such revision{if_shallow(repo)}")
    elif target is None:
        mistakes.append(f"--base is required: {repo} has none of {', '.join(names)}{if_shallow(repo)}")
    return _merge_base(repo, target, head, words, mistakes) if head and target else None


def _is_repository(repo: Path, mistakes: list[str]) -> bool:
    if not repo.is_dir():
        mistakes.append(f"--repo {repo} is not a directory")
        return False
    try:
        git(repo, "rev-parse", "--git-dir")
    except GitFailed as error:
        mistakes.append(f"--repo {repo} is not a git checkout: {error}")
        return False
    return True


def _merge_base(repo: Path, target: str, head: str, words: Words, mistakes: list[str]) -> tuple[str, str] | None:
    try:
        base = git(repo, "merge-base", target, head).strip()
    except GitFailed:
        mistakes.append(f"--base and --head {words.head!r} have no common ancestor in {repo}{if_shallow(repo)}")
        return None
    if base == head:
        mistakes.append(f"--head {words.head!r} adds nothing to --base: their merge base is the head itself")
        return None
    return base, head


def _commit(repo: Path, revision: str) -> str | None:
    try:
        return git(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    except GitFailed:
        return None


def _arms(repo: Path, commits: tuple[str, str], mistakes: list[str], machine: list[str]) -> tuple[Arm, Arm] | None:
    """Both arms, if Airflow can be imported from them on the packages of their releases."""
    try:
        overlays_fit(parse_arms(_specs(repo, commits), check_release(DEFAULT_RELEASE)), mistakes, machine)
    except ArmSpecError as error:
        mistakes.extend(error.problems)
        return None
    found = [options.arm(f"{repo}@{commit}", "stock", mistakes) for commit in commits]
    control, under_test = found
    if control is None or under_test is None or mistakes:
        return None
    for name, arm in ((CONTROL, control), (UNDER_TEST, under_test)):
        try:
            directories(arm.overlay, environment_for(arm.release, progress=options.progress))
        except EnvironmentFailed as error:
            machine.append(f"{name}: {error}")
    return control, under_test


def _specs(repo: Path, commits: tuple[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={repo}@{commit}" for name, commit in zip((CONTROL, UNDER_TEST), commits, strict=True))


def _load(words: Words, repo: Path, commits: tuple[str, str] | None, directory: Path) -> Options:
    return Options(
        arms=_specs(repo, commits) if commits else (),
        budget=words.budget,
        metrics_port=words.metrics_port,
        out=str(directory / "load"),
    )


def _check_load(load: Options | None, races: Sequence[str], mistakes: list[str], machine: list[str]) -> None:
    if load is None or not races:
        return
    try:
        check(replace(load, races=tuple(races)))
    except BadOptions as bad:
        mistakes.extend(bad.mistakes)
        machine.extend(bad.machine)


def _check_names(names: Sequence[str], mistakes: list[str]) -> None:
    known = tuple(dict.fromkeys((*catalogue.race_names(), *with_load(tuple(RACES)))))
    mistakes.extend(
        f"--race {name!r} has neither a reproducer nor a scenario: there are {', '.join(known)}"
        for name in names
        if name not in known
    )


def _chosen(
    words: Words, repo: Path, commits: tuple[str, str]
) -> tuple[tuple[str, ...], tuple[catalogue.Race, ...], dict[str, str]]:
    """The races, their reproducers, and why."""
    reasons = dict.fromkeys(words.races, "asked for") if words.races else touched(repo, *commits, RACES.values())
    reproducers = tuple(dict.fromkeys(found for name in reasons for found in catalogue.races_named(name)))
    races = {each.race for each in reproducers} | {name for name in reasons if name in RACES}
    return tuple(name for name in RACES if name in races), reproducers, reasons
