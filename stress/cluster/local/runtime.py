"""What all blocks of a run on this machine share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stress.arms.environments import AirflowEnvironment, environment_for
from stress.arms.overlay import Part, directories
from stress.arms.spec import Arm
from stress.cluster import differences
from stress.cluster.airflow import component_variables
from stress.cluster.base import ClusterSecrets, ClusterSettings, PreparedRuntime, Progress, Runtime, silent
from stress.cluster.errors import ClusterError
from stress.cluster.local.cluster import LocalCluster, Site
from stress.cluster.local.environment import base_environment, block_environment, database_variables
from stress.cluster.local.preload import Parents
from stress.cluster.local.seats import PLACES, Seats
from stress.cluster.local.templates import make_template
from stress.cluster.postgres import Postgres, server_version
from stress.cluster.postgres_settings import PostgresSettings
from stress.cluster.supervision.guard import RunGuard
from stress.cluster.supervision.processes import Label
from stress.results import SettingDifference

_Code = tuple[str, tuple[Part, ...]]
"""What a template database depends on: a release and an overlay."""


@dataclass(frozen=True)
class _Shared:
    """What all arms share."""

    guard: RunGuard
    postgres: Postgres
    parents: Parents | None
    secrets: ClusterSecrets
    seats: Seats


class LocalRuntime(Runtime):
    """Processes and an embedded PostgreSQL."""

    name = "local"

    def __init__(
        self,
        run_id: str | None = None,
        postgres: PostgresSettings | None = None,
        *,
        cold_start: bool = False,
        settings: ClusterSettings | None = None,
    ) -> None:
        """`cold_start`: every component is a separate program. `settings`: of the blocks to come, as far as known;
        `prepare` then starts the preloaded parents, whose imports overlap with its other work."""
        self._run_id = run_id
        self._postgres_settings = postgres
        self._cold_start = cold_start
        self._settings = settings
        self._started = contextlib.ExitStack()

    def prepare(self, arms: Sequence[Arm], progress: Progress = silent) -> PreparedLocalRuntime:
        """Environments first: they may take minutes, and need no server."""
        environments: dict[_Code, AirflowEnvironment] = {}
        for arm in arms:
            if _code(arm) not in environments:
                environment = environment_for(arm.airflow, progress=progress)
                overlay = directories(arm.overlay, environment)
                environments[_code(arm)] = replace(environment, overlay=overlay)
        guard = RunGuard(self._run_id)
        self._started.callback(guard.close)
        postgres = Postgres(guard.directory / "postgres", guard.label, self._postgres_settings)
        self._started.callback(postgres.stop)
        shared = _Shared(guard, postgres, self._parents(guard), ClusterSecrets.make(), Seats(guard.directory))
        self._preload(shared, environments, arms)
        progress("starting PostgreSQL")
        postgres.start()
        sites: dict[_Code, Site] = {}
        for code, environment in environments.items():
            progress(f"making a database for Airflow {environment.release}")
            template = f"template_{len(sites)}"
            make_template(environment, postgres, template, guard.directory, shared.secrets, guard.label)
            sites[code] = Site(guard, postgres, shared.parents, shared.secrets, environment, template)
        prepared = PreparedLocalRuntime(shared, sites)
        self._started.callback(prepared.stop_clusters)
        return prepared

    def close(self) -> None:
        """Each step is tried even if the one before it failed; the guard's comes last and ends all that is left."""
        self._started.close()

    def _parents(self, guard: RunGuard) -> Parents | None:
        if self._cold_start:
            return None
        parents = Parents(guard.directory / "parents", guard.label)
        self._started.callback(parents.close)
        return parents

    def _preload(self, shared: _Shared, environments: Mapping[_Code, AirflowEnvironment], arms: Sequence[Arm]) -> None:
        """Start the parents of the arms: the first arm's first, because its block comes first."""
        if shared.parents is None or self._settings is None:
            return
        seat = shared.seats.free()
        for arm in arms:
            environment = environments[_code(arm)]
            for place in range(PLACES):
                variables = block_environment(environment, shared.secrets, self._settings, arm, seat, "", place)
                shared.parents.parent(environment, variables, place)


class PreparedLocalRuntime(PreparedRuntime):
    """A running server with a template database for each release and overlay."""

    def __init__(self, shared: _Shared, sites: Mapping[_Code, Site]) -> None:
        self.guard = shared.guard
        self.postgres = shared.postgres
        self._shared = shared
        self._sites = sites
        self._clusters: list[LocalCluster] = []

    @property
    def label(self) -> Label:
        return self.guard.label

    def environment(self, arm: Arm) -> AirflowEnvironment:
        """The environment of an arm. Raises ClusterError for an arm that was not prepared."""
        return self._site(arm).environment

    def facts(self) -> Mapping[str, str]:
        """What the run stands on."""
        return {
            "PostgreSQL": f"{server_version().rpartition(' ')[2]}, {self.postgres.settings.summary}",
            "components": "each an own program" if self._shared.parents is None else "forked from preloaded parents",
        }

    def differences(self, arms: Sequence[Arm], settings: ClusterSettings) -> Sequence[SettingDifference]:
        """The settings of PostgreSQL and of the components that are not their defaults."""
        configured = [differences.Configured(arm, self._variables(arm, settings)) for arm in arms]
        return [*differences.postgresql(self.postgres), *differences.airflow(configured, self._defaults_of)]

    def open(self, arm: Arm, block: int, directory: Path, settings: ClusterSettings) -> LocalCluster:
        """A cluster for one block."""
        site = self._site(arm)
        seat = self._shared.seats.take(max(settings.schedulers, settings.triggerers))
        cluster = LocalCluster(site, seat, arm, block, directory, settings, self._forget)
        self._clusters.append(cluster)
        return cluster

    def stop_clusters(self) -> None:
        """Stop every cluster that was opened. Each is tried even if the one before it failed."""
        with contextlib.ExitStack() as steps:
            for cluster in self._clusters:
                steps.callback(cluster.stop)

    def _forget(self, cluster: LocalCluster) -> None:
        self._clusters.remove(cluster)
        cluster.seat.taken = False

    def _site(self, arm: Arm) -> Site:
        site = self._sites.get(_code(arm))
        if site is None:
            raise ClusterError(f"arm {arm.name} was not among those that the runtime was prepared for")
        return site

    def _variables(self, arm: Arm, settings: ClusterSettings) -> dict[str, str]:
        api_server = "api-server"
        return {
            **self._base_environment(arm),
            **database_variables(self.postgres, "airflow", api_server),
            **component_variables(settings, arm, api_server, "http://127.0.0.1:0", self.guard.directory, {}),
        }

    def _defaults_of(self, arm: Arm) -> str:
        python = str(self.environment(arm).python)
        return differences.printed_by([python, str(differences.DEFAULTS_SCRIPT)], self._base_environment(arm))

    def _base_environment(self, arm: Arm) -> dict[str, str]:
        return base_environment(self.environment(arm), self.guard.directory, self._shared.secrets)


def _code(arm: Arm) -> _Code:
    return arm.airflow.version, arm.overlay
