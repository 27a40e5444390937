"""The options of `stress explore`, checked: what is to be searched or replayed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress.arms.releases import DEFAULT_RELEASE
from stress.explore import options, schedule_file
from stress.explore.catalogue import PAIRS, Engine, Searchable
from stress.explore.options import Arm, Mistakes
from stress.explore.repro import ALL, MOST_TIMES
from stress.explore.schedule_file import BadScheduleFile, ScheduleFile

BOUNDED = "bounded"
SCHEDULERS = (BOUNDED, "random", "pct")

_MOST_PREEMPTIONS = 20
_MOST_WORKERS = 8
"""Each needs a core, 250 MB and a database."""

_MOST_SCHEDULES = 10_000_000
_MOST_DEPTH = 20
_MOST_SEED = 2**31 - 1
_DRAWN = {"schedules": "200", "seed": "1", "depth": "3"}
"""Options of the schedulers that draw, with their defaults."""


@dataclass(frozen=True)
class ExploreOptions:
    """The options as the user typed them; None where an option was not given."""

    pairs: Sequence[str]
    airflow: str | None = None
    fixes: str | None = None
    preemptions: str = "2"
    replay: str | None = None
    budget: str = "5m"
    times: str = "1"
    no_pruning: bool = False
    scheduler: str = BOUNDED
    schedules: str | None = None
    seed: str | None = None
    depth: str | None = None
    save: str | None = None


@dataclass(frozen=True)
class Drawing:
    """How a scheduler that draws does it."""

    scheduler: str
    schedules: int
    seed: int
    depth: int


@dataclass(frozen=True)
class ExplorePlan:
    """What is to be searched or replayed."""

    pairs: Sequence[Searchable]
    arm: Arm
    airflow: str
    """As it was typed."""

    bound: int
    replay: str | None
    budget_s: float
    """Of each pair."""

    times: int
    pruning: bool
    drawing: Drawing | None = None
    save: Path | None = None
    file: ScheduleFile | None = None
    """Where the schedule to be replayed comes from."""

    def request_of(self, pairs: Sequence[Searchable]) -> dict[str, Any]:
        """What the release's process is asked."""
        names = [pair.name for pair in pairs]
        more: dict[str, Any] = {"save": True} if self.save is not None else {}
        if self.replay is not None:
            if self.file is not None:
                more["sources"] = self.file.sources
            return {"command": "replay", "pairs": names, "schedule": self.replay, "times": self.times, **more}
        if self.drawing is not None:
            more |= vars(self.drawing)
        return {
            "command": "explore", "pairs": names, "preemptions": self.bound, "pruning": self.pruning,
            "budget_s": self.budget_s, **more,
        }  # fmt: skip

    @property
    def workers(self) -> int:
        """How many schedules are played at once."""
        return 1 if self.replay is not None else min(len(os.sched_getaffinity(0)), _MOST_WORKERS)


def check(asked: ExploreOptions) -> ExplorePlan:
    """The plan. Raises Mistakes, with all that is wrong."""
    mistakes: list[str] = []
    file = _file_of(asked.replay, mistakes)
    airflow = asked.airflow or (file.airflow if file is not None else DEFAULT_RELEASE)
    fixes = asked.fixes or (file.fixes if file is not None else "stock")
    arm = options.arm(airflow, fixes, mistakes)
    pairs = _pairs(asked.pairs or ([file.pair] if file is not None else []), arm, mistakes)
    if not asked.pairs and file is None:
        mistakes.append("name a pair to search, or a file to replay: `stress list pairs` lists the pairs")
    bound = options.number(asked.preemptions, "--preemptions", 0, _MOST_PREEMPTIONS, mistakes)
    times = options.number(asked.times, "--times", 1, MOST_TIMES, mistakes)
    coroutines = any(pair.engine is Engine.AIO for pair in pairs.values())
    mistakes += _replay_mistakes(asked, file, pairs)
    drawing = _drawing(asked, mistakes)
    for given, option in (
        (asked.no_pruning, "--no-pruning"), (drawing is not None, f"--scheduler {asked.scheduler}"),
        (asked.save is not None, "--save"),
    ):  # fmt: skip
        if given and coroutines:
            mistakes.append(f"{option} is for pairs of the database")
    if asked.no_pruning and (asked.replay is not None or drawing is not None):
        mistakes.append("--no-pruning is for a bounded search")
    save = Path(asked.save).absolute() if asked.save is not None else None
    if save is not None and ((save.exists() and not save.is_dir()) or not save.parent.is_dir()):
        mistakes.append(f"--save {asked.save} must be a directory, or a new one in a directory that exists")
    budget_s = options.seconds(asked.budget, mistakes)
    if mistakes or arm is None:
        raise Mistakes(mistakes)
    return ExplorePlan(
        pairs=list(pairs.values()),
        arm=arm,
        airflow=airflow,
        bound=bound,
        replay=file.schedule if file is not None else asked.replay,
        budget_s=budget_s,
        times=times,
        pruning=not asked.no_pruning,
        drawing=drawing,
        save=save,
        file=file,
    )


def _pairs(names: Sequence[str], arm: Arm | None, mistakes: list[str]) -> dict[str, Searchable]:
    pairs: dict[str, Searchable] = {}
    for name in names:
        if name == ALL:
            pairs.update((pair.name, pair) for pair in PAIRS.values() if arm is None or pair.is_of(arm.version))
        elif name in PAIRS:
            pairs[name] = PAIRS[name]
        else:
            mistakes.append(
                f"there is no pair {name!r}: `stress list pairs` lists them; `all` are those of the release"
            )
    return pairs


def _file_of(replay: str | None, mistakes: list[str]) -> ScheduleFile | None:
    """The file that `--replay` names, if it names one and not a schedule."""
    if replay is None or (_is_schedule(replay) and not Path(replay).exists()):
        return None
    if not Path(replay).exists():
        mistakes.append(f"--replay {replay!r} is no schedule (it looks like A4B2A), and no file")
        return None
    try:
        return schedule_file.read(Path(replay))
    except BadScheduleFile as bad:
        mistakes.append(f"--replay {bad}")
        return None


def _is_schedule(text: str) -> bool:
    from airflow_stress_explore.core.schedule import BadSchedule, decode

    try:
        decode(text)
    except BadSchedule:
        return False
    return True


def _replay_mistakes(asked: ExploreOptions, file: ScheduleFile | None, pairs: dict[str, Searchable]) -> list[str]:
    if asked.replay is None:
        return ["--times is for --replay: a search tries each schedule once"] if asked.times != "1" else []
    if len(pairs) > 1:
        return ["--replay is for one pair"]
    if file is not None and list(pairs) not in ([], [file.pair]):
        return [f"--replay {asked.replay} is a schedule of {file.pair}, not of {', '.join(pairs)}"]
    return []


def _drawing(asked: ExploreOptions, mistakes: list[str]) -> Drawing | None:
    given = {name: getattr(asked, name) for name in _DRAWN if getattr(asked, name) is not None}
    if asked.scheduler not in SCHEDULERS:
        mistakes.append(f"--scheduler {asked.scheduler!r} must be one of {', '.join(SCHEDULERS)}")
        return None
    if asked.scheduler == BOUNDED:
        mistakes += [f"--{name} is for --scheduler random and pct" for name in given]
        return None
    if asked.replay is not None:
        mistakes.append(f"--scheduler {asked.scheduler} is for a search, and --replay plays one schedule")
    if asked.scheduler == "random" and "depth" in given:
        mistakes.append("--depth is for --scheduler pct")
    words = {**_DRAWN, **given}
    return Drawing(
        asked.scheduler,
        options.number(words["schedules"], "--schedules", 1, _MOST_SCHEDULES, mistakes),
        options.number(words["seed"], "--seed", 0, _MOST_SEED, mistakes),
        options.number(words["depth"], "--depth", 1, _MOST_DEPTH, mistakes),
    )
