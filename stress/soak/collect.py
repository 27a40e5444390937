"""What is kept of the containers, and what the run left in its directory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress.soak.docker import Answer, Docker
from stress.soak.state import Soak, say

REPORTS = ("report.html", "junit.xml", "summary.md", "results.json")
"""stress.report.files.FILE_NAMES, which can't be imported with the standard library alone."""
OVER = ("done", "interrupted", "failed")
"""The states of a manifest whose run has ended."""

_JUDGE_AGAIN_S = 600
_IMAGE_FORMAT = (
    '{{.Id}} {{json .RepoTags}} {{json .RepoDigests}}{{if index .Config.Labels "org.airflow-stress.stand-in"}} '
    "(a stand-in){{end}}"
)


@dataclass(frozen=True)
class Harness:
    """How the harness's container ended. `code` is None if it never started."""

    code: int | None
    out_of_memory: bool


def collect(soak: Soak, docker: Docker) -> Harness:
    """End what still runs, and write down what the engine and Compose know."""
    if docker.compose("ps", "--status", "running", "--quiet").text.strip():
        docker.compose("stop", "--timeout", "60", "stress", timeout_s=90)
        docker.compose("kill")
    ids = docker.compose("ps", "--all", "--quiet").text.split()
    (soak.out / "containers.txt").write_text(docker.compose("ps", "--all").text)
    inspected = docker.engine("inspect", *ids) if ids else Answer(0, "[]")
    (soak.out / "containers.json").write_text(inspected.text)
    (soak.out / "containers.log").write_text(docker.compose("logs", "--no-color", "--timestamps").text)
    images = docker.compose("config", "--images", "postgres", "migrate", "stress", "prometheus").text.split()
    facts = [
        ("docker version", docker.engine("version")),
        ("docker compose version", docker.engine("compose", "version")),
        ("images", docker.engine("image", "inspect", "--format", _IMAGE_FORMAT, *sorted(set(images)))),
    ]
    (soak.out / "engine.txt").write_text("".join(f"# {title}\n{answer.text}\n" for title, answer in facts))
    return harness_of(inspected.text)


def harness_of(inspected: str) -> Harness:
    """The harness among the containers that `docker inspect` printed."""
    try:
        containers: list[dict[str, Any]] = json.loads(inspected)
    except ValueError:
        return Harness(None, out_of_memory=False)
    for container in containers:
        labels = container.get("Config", {}).get("Labels") or {}
        state = container.get("State", {})
        one_off = labels.get("com.docker.compose.oneoff") == "True"
        if labels.get("com.docker.compose.service") != "stress" or one_off or state.get("Status") == "created":
            continue
        return Harness(int(state.get("ExitCode", 0)), bool(state.get("OOMKilled")))
    return Harness(None, out_of_memory=False)


def run_directory(soak: Soak) -> Path | None:
    """The run's directory; None if the harness did not make one."""
    found = [path.parent for path in soak.runs.glob("*/manifest.json") if not path.parent.is_symlink()]
    return max(found, default=None)


def state_of(run: Path) -> str:
    """The state in the run's manifest."""
    try:
        return str(json.loads((run / "manifest.json").read_text())["state"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"unreadable ({error})"


def is_reported(run: Path) -> bool:
    """Whether the run has ended and all of its reports are there."""
    return state_of(run) in OVER and all((run / name).exists() for name in REPORTS)


def judge_again(soak: Soak, docker: Docker, run: Path) -> None:
    """Judge the history of a harness that died, in a new container: it writes every report."""
    say(f"judge the stored history of run {run.name}")
    words = ("run", "--rm", "--no-deps", "-T", "stress", "report", f"runs/{run.name}")
    answer = docker.compose(*words, timeout_s=_JUDGE_AGAIN_S)
    (soak.out / "judge.log").write_text(answer.text)
    print(answer.text, end="", flush=True)
