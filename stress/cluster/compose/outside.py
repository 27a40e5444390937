"""`stress run --runtime compose` on a machine: the compose form with the user's options, and its end.

The harness itself runs in the project's `stress` container, beside the cluster; here a separate project is made for
the run, its directory is mounted, and the project is ended afterwards with its volumes, however the run ends. A signal
goes to the container, which then ends as a local run does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import requests
from docker.errors import DockerException, NotFound

from stress import instrument
from stress.arms.overlay.git import GitFailed, git
from stress.arms.spec import Arm, arm_text
from stress.cluster.compose.engine import (
    HARNESS,
    EngineError,
    compose_fault,
    compose_images,
    connect,
    containers_of,
    missing_images,
)
from stress.cluster.compose.project import airflow_image
from stress.cluster.compose.tree import project_tree
from stress.cluster.supervision.guard import RunGuard

RUNS = "/airflow-stress/runs"
_HARNESS_END_S = 60
"""Longer than a harness takes to heal, to collect logs and to judge after an interrupt."""


def faults(arms: Sequence[Arm], release: str) -> list[str]:
    """Why this machine can't take a compose run now, a sentence each. Answers within 3 s."""
    fault = compose_fault()
    if fault is not None:
        return [fault]
    try:
        client = connect()
        images = compose_images(environment(release))
        pattern = next((image for image in images if "airflow" in image), "apache/airflow:" + release)
        images += [airflow_image(pattern, arm.airflow.version, release) for arm in arms]
        return missing_images(client, dict.fromkeys(images))
    except EngineError as error:
        return [str(error)]


def environment(release: str, runs: Path | None = None) -> dict[str, str]:
    """The variables of docker-compose.yml."""
    found = {**os.environ, "AIRFLOW_VERSION": release, instrument.COMMIT_VARIABLE: instrument.commit()}
    if runs is not None:
        found["AIRFLOW_STRESS_RUNS"] = str(runs)
    return found


def run(run_id: str, words: Sequence[str], directory: Path, release: str, arms: Sequence[Arm]) -> int:
    """Run `stress WORDS` in a separate project; the run's directory is `directory`. Returns its exit code.

    The wheels, checkouts and diffs of `arms` are mounted read only under their own paths.
    """
    project = f"airflow-stress-{run_id.lower()}"
    directory.parent.mkdir(parents=True, exist_ok=True)
    variables = {**environment(release, directory.parent), "AIRFLOW_STRESS_ONE_RUN": run_id}
    docker = shutil.which("docker") or "docker"
    compose = [docker, "compose", "--project-name", project, "--project-directory", str(project_tree())]
    arguments = [*compose, "run", "--rm", "--build", "--use-aliases", "-T"]
    arguments += [f"--volume={path}:{path}:ro" for path in mounted(arms)]
    arguments += ["stress", *inside(words, directory.name, arms)]
    guard = RunGuard(run_id)  # shows `stress clean` that a process looks after this project
    try:
        return _until_it_ends(arguments, variables, project)
    finally:
        guard.close()
        _await_harness(project)
        subprocess.run(
            [*compose, "--profile", "*", "down", "--volumes", "--remove-orphans"],
            env=variables,
            check=False,
            capture_output=True,
        )


def _await_harness(project: str) -> None:
    """Wait until the harness has ended in its container, at most `_HARNESS_END_S`.

    A signal ends `docker compose run` at once, and its container later: until then the harness puts the project's
    containers back, also those that `down` has just removed.
    """
    with contextlib.suppress(EngineError, DockerException, requests.RequestException):
        for container in containers_of(connect(), project, HARNESS):
            with contextlib.suppress(NotFound):
                container.wait(timeout=_HARNESS_END_S)


def mounted(arms: Sequence[Arm]) -> list[Path]:
    """What the container needs of this machine's files: wheels, diffs, and checkouts with the git directories of theirs
    that lie elsewhere (a linked work tree's, say).
    """
    found: dict[Path, None] = {}
    for part in (part for arm in arms for part in arm.overlay):
        found[part.path] = None
        if part.kind == "checkout":
            try:
                printed = git(part.path, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir")
            except GitFailed:
                continue  # a folder of sources
            found |= dict.fromkeys(map(Path, printed.splitlines()))
    return [path for path in found if not any(path != other and path.is_relative_to(other) for other in found)]


def inside(words: Sequence[str], name: str, arms: Sequence[Arm] = ()) -> list[str]:
    """The user's words as the container needs them: its own runtime, and the run's directory where it is mounted.

    If an arm has an overlay, all are written with absolute paths: the container has another working directory.
    """
    left_out = ["--out", "--runtime"]
    named: list[str] = []
    if any(arm.overlay for arm in arms):
        left_out.append("--arm")
        named = [word for arm in arms for word in ("--arm", arm_text(arm))]
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in left_out:
            skip = True
        elif not word.startswith(tuple(f"{option}=" for option in left_out)):
            kept.append(word)
    return [*kept, *named, "--out", f"{RUNS}/{name}", "--no-tui"]


def _until_it_ends(arguments: Sequence[str], variables: Mapping[str, str], project: str) -> int:
    """Pass signals on instead of dying of them: the container's end is the run's end."""
    process = subprocess.Popen(arguments, env=dict(variables), start_new_session=True)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        # To the harness itself: at a signal `docker compose run` ends at once with code 130 and removes the container.
        # While it still builds the image or starts the project, it is the one to end.
        if not _signal_harness(project, number):
            process.send_signal(number)

    kept = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _signal_harness(project: str, number: int) -> bool:
    """Send a signal to the project's running harness; whether there is one."""
    sent = False
    with contextlib.suppress(EngineError, DockerException, requests.RequestException):
        for container in containers_of(connect(), project, HARNESS):
            if container.status == "running":
                container.kill(signal=number)
                sent = True
    return sent
