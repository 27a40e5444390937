"""What all blocks of a run on this machine share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stress.arms.environments import AirflowEnvironment, environment_for
from stress.arms.overlay import Part, directories
from stress.arms.spec import Arm
from stress.cluster import differences
from stress.cluster.airflow import component_variables
from stress.cluster.base import ClusterSecrets, ClusterSettings, Progress, Runtime, silent
from stress.cluster.errors import ClusterError
from stress.cluster.guard import RunGuard
from stress.cluster.local.cluster import LocalCluster, Seat, variables_of
from stress.cluster.local.environment import base_environment, database_variables
from stress.cluster.local.preload import Parents
from stress.cluster.local.templates import make_template
from stress.cluster.ports import free_port, is_free
from stress.cluster.postgres import Postgres, PostgresSettings, server_version
from stress.cluster.processes import Label
from stress.results import SettingDifference

_PLACES = 2
"""Parents of an arm; also the default number of peers of a kind."""


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
        """`cold_start`: every component is a program of its own. `settings`: of the blocks to come, as far as known;
        `prepare` then starts the preloaded parents, whose imports overlap with its other work."""
        self._run_id = run_id
        self._cold_start = cold_start
        self._settings = settings
        self.parents: Parents | None = None
        """None with a cold start."""
        self._seats: list[Seat] = []
        self._postgres_settings = postgres or PostgresSettings()
        self._guard: RunGuard | None = None
        self._postgres: Postgres | None = None
        self._environments: dict[tuple[str, tuple[Part, ...]], AirflowEnvironment] = {}
        self._templates: dict[tuple[str, tuple[Part, ...]], str] = {}
        self._clusters: list[LocalCluster] = []
        self._secrets = ClusterSecrets.make()

    @property
    def label(self) -> Label:
        return self.guard.label

    @property
    def guard(self) -> RunGuard:
        if self._guard is None:
            raise ClusterError("the local runtime has not been prepared")
        return self._guard

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            raise ClusterError("the local runtime has not been prepared")
        return self._postgres

    def environment(self, arm: Arm) -> AirflowEnvironment:
        """The environment of an arm that `prepare` was given."""
        return self._environments[_key(arm)]

    def prepare(self, arms: Sequence[Arm], progress: Progress = silent) -> None:
        """Environments first: they may take minutes, and need no server."""
        for arm in arms:
            if _key(arm) not in self._environments:
                environment = environment_for(arm.airflow, progress=progress)
                overlay = directories(arm.overlay, environment)
                self._environments[_key(arm)] = replace(environment, overlay=overlay)
        if self._guard is None:
            self._guard = RunGuard(self._run_id)
        if self.parents is None and not self._cold_start:
            self.parents = Parents(self._guard.directory / "parents", self._guard.label)
        self._preload(arms)
        if self._postgres is None:
            progress("starting PostgreSQL")
            self._postgres = Postgres(self._guard.directory / "postgres", self._guard.label, self._postgres_settings)
            self._postgres.start()
        for key, environment in self._environments.items():
            if key not in self._templates:
                progress(f"making a database for Airflow {environment.release}")
                database = f"template_{len(self._templates)}"
                make_template(
                    environment, self._postgres, database, self._guard.directory, self._secrets, self._guard.label
                )
                self._templates[key] = database

    def facts(self) -> Mapping[str, str]:
        """What the runs of this runtime stand on."""
        own = self._postgres_settings
        durability = "on" if own.durable else "off"
        return {
            "PostgreSQL": f"{server_version().rpartition(' ')[2]}, deadlock_timeout {own.deadlock_timeout_ms} ms, "
            f"fsync {durability}",
            "components": "each an own program" if self._cold_start else "forked from preloaded parents",
        }

    def differences(self, arms: Sequence[Arm], settings: ClusterSettings) -> Sequence[SettingDifference]:
        """What PostgreSQL and the components are told that is not their default."""
        return [
            *differences.postgresql(self.postgres),
            *differences.airflow(
                [differences.Configured(arm, self._told(arm, settings)) for arm in arms], self._defaults_of
            ),
        ]

    def _told(self, arm: Arm, settings: ClusterSettings) -> dict[str, str]:
        environment = self.environment(arm)
        return {
            **base_environment(environment, self.guard.directory, self._secrets),
            **database_variables(self.postgres, "airflow", "api-server"),
            **component_variables(settings, arm, "api-server", "http://127.0.0.1:0", self.guard.directory, {}),
        }

    def _defaults_of(self, arm: Arm) -> str:
        environment = self.environment(arm)
        return differences.printed_by(
            [str(environment.python), str(differences.DEFAULTS_SCRIPT)],
            base_environment(environment, self.guard.directory, self._secrets),
        )

    def open(self, arm: Arm, block: int, directory: Path, settings: ClusterSettings) -> LocalCluster:
        """A cluster for one block."""
        key = _key(arm)
        if key not in self._templates:
            raise ClusterError(f"arm {arm.name} was not among those that the runtime was prepared for")
        cluster = LocalCluster(
            self,
            arm,
            block,
            directory,
            settings,
            template=self._templates[key],
            cluster_secrets=self._secrets,
            seat=self._take_seat(max(settings.schedulers, settings.triggerers)),
        )
        self._clusters.append(cluster)
        return cluster

    def close(self) -> None:
        """Each step is tried even if the one before it failed; the guard's comes last and ends whatever is left."""
        with contextlib.ExitStack() as steps:
            if self._guard is not None:
                steps.callback(self._guard.close)
            if self._postgres is not None:
                steps.callback(self._postgres.stop)
            if self.parents is not None:
                steps.callback(self.parents.close)
            for cluster in self._clusters:
                steps.callback(cluster.stop)
        self._clusters.clear()

    def forget(self, cluster: LocalCluster) -> None:
        """The cluster has stopped."""
        if cluster in self._clusters:
            self._clusters.remove(cluster)
            cluster.seat.taken = False

    def _preload(self, arms: Sequence[Arm]) -> None:
        """Start the parents of the arms: the first arm's first, because its block comes first."""
        if self.parents is None or self._settings is None:
            return
        seat = self._free_seat(_PLACES)
        for arm in arms:
            environment = self.environment(arm)
            for place in range(_PLACES):
                variables = variables_of(environment, self._secrets, self._settings, arm, seat, "", place)
                self.parents.parent(environment, variables, place)

    def _take_seat(self, peers: int) -> Seat:
        seat = self._free_seat(max(_PLACES, peers))
        seat.taken = True
        return seat

    def _free_seat(self, peers: int) -> Seat:
        for seat in self._seats:
            # A port that somebody else took meanwhile makes the seat useless, and its parents with it.
            if not seat.taken and len(seat.service_ports) >= 3 * peers and is_free(seat.api_port):
                return seat
        home = self.guard.directory / f"airflow-{len(self._seats)}"
        seat = Seat(home, free_port(), tuple(free_port() for _ in range(3 * peers)))
        seat.home.mkdir()
        self._seats.append(seat)
        return seat


def _key(arm: Arm) -> tuple[str, tuple[Part, ...]]:
    return arm.airflow.version, arm.overlay
