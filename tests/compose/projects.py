"""A compose project of a test's own: its own name, and its runs in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

from stress.cluster.compose.engine import PROJECT_LABEL, SERVICE_LABEL
from stress.layout import ROOT


@dataclass
class Project:
    """One compose project and the runs that it makes."""

    name: str
    runs: Path
    engine: docker.DockerClient
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables, "AIRFLOW_STRESS_RUNS": str(self.runs)}

    def command(self, *arguments: str) -> list[str]:
        return ["docker", "compose", "--project-name", self.name, "--project-directory", str(ROOT), *arguments]

    def compose(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """One compose command, to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(self, output: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """A compose command in the background."""
        with output.open("wb") as file:
            return subprocess.Popen(self.command(*arguments), env=self.environment, stdout=file, stderr=file)

    def containers(self, service: str | None = None) -> list[Container]:
        """The project's containers, running or not."""
        labels = [f"{PROJECT_LABEL}={self.name}"] + ([f"{SERVICE_LABEL}={service}"] if service else [])
        found: list[Container] = self.engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
        return found

    def down(self) -> None:
        """The end of everything."""
        # With the grace that the file gives: a harness that still runs puts the project in order first.
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans")

    def left(self) -> list[str]:
        """What the engine still has of the project."""
        labels = {"label": f"{PROJECT_LABEL}={self.name}"}
        things: list[Any] = [*self.containers()]
        things += self.engine.volumes.list(filters=labels)
        things += self.engine.networks.list(filters=labels)
        return [str(thing.name) for thing in things]


def stress(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One command of the project on this machine, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "stress", *arguments],
        cwd=ROOT,
        env=dict(environment) if environment is not None else None,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def the_run(project: Project) -> Path:
    """The directory of the project's only run."""
    (directory,) = [path for path in project.runs.iterdir() if path.name != "latest"]
    return directory


def events_of(run: Path, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """A run's events of some kinds, in order."""
    whole = (run / "history.jsonl").read_text().rpartition("\n")[0]  # the last line may be under way
    entries = [json.loads(line) for line in whole.splitlines()]
    return [entry["event"] for entry in entries if entry["event"]["kind"] in kinds]
