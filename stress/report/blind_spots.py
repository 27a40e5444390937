"""What no run can see, for the report's section on what was not judged.

It keeps a reader from reading more into `removed` than it says. An entry is removed when the harness learns to judge
it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stress.races.race import Race
from stress.races.registry import RACES

NOT_JUDGED = "not judged: "
"""Begins a setting of a run that was asked for no race: a race follows, and the value is why it was left out."""


@dataclass(frozen=True)
class BlindSpot:
    """Something that is not judged, and why. It holds for runs whose manifest has `setting` with `value`, if given.

    An empty `value` means that the setting is absent.
    """

    what: str
    why: str
    setting: str = ""
    value: str = ""

    def holds(self, settings: Mapping[str, str]) -> bool:
        """Whether a run with these settings cannot see it."""
        return not self.setting or settings.get(self.setting, "") == self.value


BLIND_SPOTS: tuple[BlindSpot, ...] = (
    BlindSpot(
        "Other databases: MySQL, MariaDB, SQLite",
        "every cluster runs on PostgreSQL; locks and deadlock detection differ elsewhere",
    ),
    BlindSpot("pgbouncer and read replicas", "components connect to the server directly"),
    BlindSpot(
        "Celery, Kubernetes and Edge executors",
        "tasks are run by LocalExecutor or by hollow workers; the executors' own queues and adoption are not exercised",
    ),
    BlindSpot(
        "Several api-server processes or workers",
        "one api-server with one worker serves each cluster",
        setting="api-server workers",
        value="1",
    ),
    BlindSpot("Clusters of mixed releases (rolling upgrades)", "all components of an arm run the same code"),
    BlindSpot("Clock skew between components", "all components share one clock"),
    BlindSpot("Long transactions of other clients", "no session holds locks but those of Airflow"),
    BlindSpot(
        "What happens after a block has settled",
        "a block ends when nothing has changed for longer than Airflow's own recovery takes, or at a time limit",
    ),
    BlindSpot(
        "Retries, mapped tasks, backfills, contended pools, multi-team, human-in-the-loop",
        "the load has no DAGs that use them",
    ),
    BlindSpot("Races between DAG processors, and of parsing", "one DAG processor serves each cluster"),
    BlindSpot(
        "Recovery from crashes, pauses and network failures",
        "no faults were injected (`--faults`)",
        setting="faults",
    ),
    BlindSpot(
        "Worker processes: heartbeats, XComs, rendered fields, task logs",
        "hollow workers make the Execution API calls of a task and run nothing (`--workers real` runs tasks)",
        setting="workers",
        value="hollow",
    ),
)
"""In the order in which the report lists them."""


def of_run(settings: Mapping[str, str], races: Collection[str]) -> tuple[BlindSpot, ...]:
    """What a run with these settings, which judged these races, cannot see. Known races come first."""
    others = (
        BlindSpot(f"{race.name}: {race.summary}", settings.get(f"{NOT_JUDGED}{race.name}") or _why(race))
        for race in RACES.values()
        if race.name not in races
    )
    return (*others, *(spot for spot in BLIND_SPOTS if spot.holds(settings)))


def _why(race: Race) -> str:
    """Why a run did not judge a known race."""
    if race.needs_faults:
        return "it is judged with `--faults`"
    if race.scenario is not None:
        return f"it was not asked for (`--race {race.name}`)"
    shown = f"stress repro {race.name}" if race.reproducers else race.reproduced_by
    return f"no load provokes it; `{shown}` shows it"
