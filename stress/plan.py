"""The plan of a run, checked whole before anything starts.

`check` takes the options as the user gave them and returns a plan, or raises `BadOptions` with every mistake at once:
nothing is started and nothing is written before there is a plan. Faults of the machine (a taken port, no memory) are
separate from mistakes in the options, because a caller's script reacts to them differently (exit code 3 or 64).
"""

from __future__ import annotations

import os
import random
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stress.arms.errors import ArmSpecError, EnvironmentFailed, UnknownRelease
from stress.arms.fixes import resolve
from stress.arms.overlay.requirements import locked_versions, unmet
from stress.arms.releases import DEFAULT_RELEASE, locked
from stress.arms.releases import check as check_release
from stress.arms.spec import Arm, parse_arms
from stress.cache import quiet
from stress.cluster.ports import is_free
from stress.durations import parse_duration
from stress.faults import FAULTS
from stress.faults.base import PlannedFault
from stress.faults.recovery import CONFIG as RECOVERY_CONFIG
from stress.faults.schedule import least_load_s, schedule
from stress.load.settings import LoadSettings
from stress.output import output_directory
from stress.races.choice import NoRaceLeft, without_request
from stress.races.registry import RACES, SCENARIOS, races_of
from stress.races.scenario import Scenario

METRICS_PORT = 9108
DEFAULT_ARMS = ("stock", "fixed")
DEFAULT_BUDGET = "9.5m"
WORKERS = ("hollow", "real")
RUNTIMES = ("local", "compose")
ALL = "all"
"""As a race: every race that has a scenario."""

_LEAST_BUDGET_S = 60.0
_LEAST_LOAD_S = 5.0
_MOST_LOAD_S = 3600.0
_FAULTS_LOAD_S = 60.0
"""A block's load with faults: long enough for some faults, and for Airflow to notice a dead component."""
_MEMORY_BYTES = int(2.5 * 2**30)


@dataclass(frozen=True)
class Options:
    """The options as the user typed them, unchecked."""

    scenarios: tuple[str, ...] = ()
    races: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    runtime: str = "local"
    airflow: str = DEFAULT_RELEASE
    budget: str = DEFAULT_BUDGET
    load: str | None = None
    seed: str | None = None
    out: str | None = None
    faults: str | None = None
    workers: str = "hollow"
    metrics_port: str = str(METRICS_PORT)
    observers: bool = True
    whole_budget: bool = False
    cold_start: bool = False


@dataclass(frozen=True)
class Plan:
    """A run that can be started."""

    run_id: str
    seed: int
    arms: tuple[Arm, ...]
    scenarios: tuple[Scenario, ...]
    runtime: str
    budget_s: float
    directory: Path
    workers: str
    metrics_port: int
    load: LoadSettings
    observers: bool = True
    whole_budget: bool = False
    """Whether blocks continue after every race is decided."""
    races: tuple[str, ...] = field(default=())
    faults: tuple[str, ...] = ()
    chosen: str = ""
    """How the races were chosen, if none was asked for."""

    left_out: tuple[tuple[str, str], ...] = ()
    """Races of the default scenarios that are not judged because no arm can have them, each with the reason."""

    cold_start: bool = False
    """Whether each component of the local runtime is its own program instead of forked from a preloaded parent."""

    @property
    def config(self) -> dict[str, str]:
        """Airflow's configuration that the scenarios ask for, and the faults."""
        merged: dict[str, str] = dict(RECOVERY_CONFIG) if self.faults else {}
        for scenario in self.scenarios:
            merged |= dict(scenario.config)
        return merged

    @property
    def dags(self) -> tuple[str, ...]:
        """The DAGs that must be there before the load begins."""
        return tuple(dict.fromkeys(dag for scenario in self.scenarios for dag in scenario.dags))

    @property
    def dag_files(self) -> tuple[str, ...]:
        """The files of `dags/` that only some scenarios need, and these do."""
        return tuple(dict.fromkeys(name for scenario in self.scenarios for name in scenario.dag_files))

    def arm_of(self, slot: int) -> Arm:
        """The arm of a slot. A turn has every arm once, in an order drawn from the seed, so that neither a drift of the
        machine nor a periodic change favours an arm. A blind block is run again in its slot."""
        turn, place = divmod(slot, len(self.arms))
        order = list(self.arms)
        random.Random(f"{self.seed} order of turn {turn}").shuffle(order)  # noqa: S311 - an experiment's design
        return order[place]

    def faults_of(self, slot: int) -> tuple[PlannedFault, ...]:
        """The faults of a slot: the same for every arm of a turn."""
        return schedule(self.seed, slot // len(self.arms), self.faults, self.load.seconds)


class BadOptions(Exception):  # noqa: N818 - it says what happened
    """Invalid options: all mistakes at once. `machine` holds the machine's faults."""

    def __init__(self, mistakes: Sequence[str], machine: Sequence[str]) -> None:
        super().__init__("; ".join([*mistakes, *machine]))
        self.mistakes = tuple(mistakes)
        self.machine = tuple(machine)


def check(options: Options) -> Plan:
    """Make a plan. Raises BadOptions; starts nothing, and writes nothing but a lock into the cache."""
    mistakes: list[str] = []
    machine: list[str] = []
    scenarios = _scenarios(options, mistakes)
    arms = _arms(options, mistakes)
    if options.runtime not in RUNTIMES:
        mistakes.append(f"--runtime {options.runtime!r}: there is {', '.join(RUNTIMES)}")
    if options.workers not in WORKERS:
        mistakes.append(f"--workers {options.workers!r}: there are {' and '.join(WORKERS)}")
    budget_s = _duration("--budget", options.budget, _LEAST_BUDGET_S, float("inf"), mistakes)
    faults = _faults(options, mistakes)
    races, chosen, left_out = _races(options, scenarios, faults=bool(faults)), "", {}
    if arms and not options.races and not options.scenarios:
        try:
            choice = without_request([None if a.overlay else a.airflow.version for a in arms], faults=bool(faults))
            scenarios, races, chosen, left_out = choice.scenarios, choice.races, choice.why, dict(choice.left_out)
        except NoRaceLeft as error:
            mistakes.append(str(error))
    load = _load(options, scenarios, faults, mistakes)
    seed = secrets.randbelow(2**32)
    if options.seed is not None:
        seed = _number("--seed", options.seed, 0, 2**32 - 1, mistakes)
    before = len(mistakes)
    port = _number("--metrics-port", options.metrics_port, 1, 65535, mistakes)
    # Outside of the containers the port is not checked: the harness will run inside.
    looks_at_port = len(mistakes) == before and (options.runtime == "local" or in_container())
    machine.extend(machine_faults(port if looks_at_port else None))
    overlays_fit(arms, mistakes, machine)
    if options.runtime == "compose":
        mistakes.extend(_unmountable(arms))
        machine.extend(_engine_faults(arms, options.airflow))
    # A run that was started outside of its container has the same id inside.
    run_id = os.environ.get("AIRFLOW_STRESS_ONE_RUN") or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    directory = output_directory(options.out, Path("runs") / run_id, mistakes)
    if mistakes or machine:
        raise BadOptions(mistakes, machine)
    return Plan(
        run_id=run_id,
        seed=seed,
        arms=arms,
        scenarios=scenarios,
        runtime=options.runtime,
        budget_s=budget_s,
        directory=directory,
        workers=options.workers,
        metrics_port=port,
        load=load,
        observers=options.observers,
        whole_budget=options.whole_budget,
        races=races,
        faults=faults,
        chosen=chosen,
        left_out=tuple(left_out.items()),
        cold_start=options.cold_start,
    )


def _load(options: Options, scenarios: Sequence[Scenario], faults: Sequence[str], mistakes: list[str]) -> LoadSettings:
    """The load of each block: the users of the scenarios, and the length that was asked for or that faults need."""
    seconds = _FAULTS_LOAD_S if faults else LoadSettings().seconds
    if options.load is not None:
        before = len(mistakes)
        seconds = _duration("--load", options.load, _LEAST_LOAD_S, _MOST_LOAD_S, mistakes)
        if faults and len(mistakes) == before and seconds < (least_s := least_load_s(faults)):
            mistakes.append(f"--load {options.load!r} is too short for --faults: they need at least {least_s:g}s")
    api_workers = max((scenario.api_workers for scenario in scenarios), default=1)
    load = LoadSettings(users=_users(scenarios), seconds=seconds, api_workers=api_workers)
    return _spread(load) if faults else load


def in_container() -> bool:
    """Whether this is the harness in the project's own container (docker-compose.yml says so)."""
    return os.environ.get("AIRFLOW_STRESS_RUNTIME") == "compose"


def overlays_fit(arms: Sequence[Arm], mistakes: list[str], machine: list[str]) -> None:
    """Compare what wheels and checkouts require with the packages of their base releases."""
    for arm in arms:
        if any(package.requires for part in arm.overlay for package in part.packages):
            try:
                base = locked_versions(locked(arm.airflow, quiet).path.read_text(encoding="utf-8"))
            except EnvironmentFailed as error:
                machine.append(f"--arm {arm.name}: {error}")
                continue
            mistakes.extend(
                f"--arm {arm.name}: {sentence} on its base, Airflow {arm.airflow.version}: "
                "add its wheel with '+', or choose code that fits a known release"
                for sentence in unmet(arm.overlay, base)
            )


def _unmountable(arms: Sequence[Arm]) -> list[str]:
    """What `docker compose run` cannot mount: a colon separates the parts of a mount."""
    return [
        f"--arm {arm.name}: {part.path} has a colon in its path, so that it cannot be mounted: move it"
        for arm in arms
        for part in arm.overlay
        if ":" in str(part.path)
    ]


def _engine_faults(arms: Sequence[Arm], release: str) -> list[str]:
    if in_container():
        from stress.cluster.compose import runtime

        return runtime.faults(arms)
    from stress.cluster.compose import outside

    return outside.faults(arms, release)


def machine_faults(metrics_port: int | None) -> list[str]:
    """Why this machine cannot start a run now, a sentence each; empty if it can. Without a port none is checked."""
    faults = _memory()
    if metrics_port is not None and not is_free(metrics_port):
        faults.append(
            f"port {metrics_port} of 127.0.0.1 is taken (another run?): "
            "end what uses it, or choose another with --metrics-port"
        )
    return faults


def _scenarios(options: Options, mistakes: list[str]) -> tuple[Scenario, ...]:
    """The scenarios asked for, and those of the races asked for; without a choice those that need no request."""
    mistakes.extend(
        f"--scenario {name!r} is unknown: there are {', '.join(SCENARIOS)}"
        for name in options.scenarios
        if name not in SCENARIOS
    )
    possible = {race.name: race.scenario for race in RACES.values() if race.scenario is not None}
    for name in options.races:
        if name != ALL and name not in possible:
            mistakes.append(f"--race {name!r} has no scenario: there are {', '.join(possible)}; or {ALL}")
        elif name != ALL and RACES[name].needs_faults and options.faults is None:
            mistakes.append(f"--race {name!r} needs faults: add --faults")
    if ALL in options.races:
        return tuple(SCENARIOS.values())
    wanted = {*options.scenarios, *(possible[name].name for name in options.races if name in possible)}
    if not options.races and not options.scenarios:
        wanted = {scenario.name for scenario in SCENARIOS.values() if not scenario.on_request}
    return tuple(scenario for name, scenario in SCENARIOS.items() if name in wanted)


def _races(options: Options, scenarios: Sequence[Scenario], *, faults: bool) -> tuple[str, ...]:
    """The races asked for, and all of the scenarios asked for."""
    every = races_of(scenarios, faults=faults)
    if not options.races or ALL in options.races:
        return every
    whole = races_of([SCENARIOS[name] for name in options.scenarios if name in SCENARIOS], faults=faults)
    return tuple(race for race in every if race in options.races or race in whole)


def _arms(options: Options, mistakes: list[str]) -> tuple[Arm, ...]:
    try:
        release = check_release(options.airflow)
    except UnknownRelease as error:
        mistakes.append(f"--airflow {options.airflow!r}: {error}")
        # The arms are still checked, as far as they can be without it.
        release = check_release(DEFAULT_RELEASE)
    try:
        return parse_arms(options.arms or DEFAULT_ARMS, release, resolve)
    except ArmSpecError as error:
        mistakes.extend(f"--arm: {problem}" for problem in error.problems)
        return ()


def _faults(options: Options, mistakes: list[str]) -> tuple[str, ...]:
    """The requested kinds; `all` is every kind that the runtime supports."""
    if options.faults is None:
        return ()
    possible = [name for name, fault in FAULTS.items() if options.runtime in fault.runtimes]
    if options.faults == "all":
        return tuple(possible)
    wanted = tuple(dict.fromkeys(name.strip() for name in options.faults.split(",")))
    for name in wanted:
        if name not in FAULTS:
            mistakes.append(f"--faults {name!r} is unknown: there are {', '.join(FAULTS)}; or all")
        elif options.runtime in RUNTIMES and name not in possible:
            where = " or ".join(FAULTS[name].runtimes)
            mistakes.append(f"--faults {name!r} is impossible on the {options.runtime} runtime: it needs {where}")
    return tuple(name for name in wanted if name in FAULTS)


def _spread(load: LoadSettings) -> LoadSettings:
    """Deadlines that pass and triggers that are cancelled during all of the load, so that faults meet them. The batches
    of deadlines are smaller than in a block without faults, so that the machine has no more of them at a time.
    """
    period_s = 10.0
    batches = 1 + max(0, int((load.seconds - load.deadline_first_s - period_s) // period_s))
    return msgspec.structs.replace(
        load,
        deadline_batches=batches,
        deadline_batch_runs=4,
        deadline_batch_period_s=period_s,
        cancel_bursts=1 + max(0, int((load.seconds - load.cancel_period_s) // load.cancel_period_s)),
    )


def _users(scenarios: Sequence[Scenario]) -> list[str]:
    return list(dict.fromkeys(user for scenario in scenarios for user in scenario.users))


def _duration(option: str, text: str, least_s: float, most_s: float, mistakes: list[str]) -> float:
    seconds = parse_duration(text)
    if seconds is None or not least_s <= seconds <= most_s:
        most = f" and at most {most_s:g}s" if most_s != float("inf") else ""
        mistakes.append(f"{option} {text!r}: write a time such as 90s, 10m or 1.5h, at least {least_s:g}s{most}")
        return least_s
    return seconds


def _number(option: str, text: str, least: int, most: int, mistakes: list[str]) -> int:
    if not re.fullmatch(r"\d{1,10}", text) or not least <= int(text) <= most:
        mistakes.append(f"{option} {text!r}: write a whole number from {least} to {most}")
        return least
    return int(text)


def _memory() -> list[str]:
    available = next(
        (
            int(line.split()[1]) * 1024
            for line in Path("/proc/meminfo").read_text().splitlines()
            if line.startswith("MemAvailable:")
        ),
        _MEMORY_BYTES,
    )
    if available < _MEMORY_BYTES:
        return [
            f"only {available / 2**30:.1f} GiB of memory are free, and the cluster needs {_MEMORY_BYTES / 2**30:.1f}: "
            "end something else first"
        ]
    return []
