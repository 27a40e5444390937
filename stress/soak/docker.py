"""The command line of the Docker engine and of Compose. `docker` is not imported: a soak installs nothing."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from stress import instrument
from stress.cluster.compose.tree import project_tree
from stress.soak.state import Soak

_QUESTION_S = 60
_VERSION_S = 15


@dataclass(frozen=True)
class Answer:
    """A command's output and exit code; the code is None if the command could not be run or did not end in time."""

    code: int | None
    text: str

    @property
    def last_line(self) -> str:
        """For a sentence about a command that failed."""
        lines = self.text.strip().splitlines()
        return lines[-1].strip() if lines else "no output"


class Docker:
    """The commands of one soak's project."""

    def __init__(self, soak: Soak) -> None:
        self._tree = project_tree()
        self._compose = [
            *("docker", "compose", "--project-name", soak.project, "--project-directory", str(self._tree)),
            *("--file", str(self._tree / "docker-compose.yml")),
        ]
        self._variables = {
            **os.environ,
            "AIRFLOW_STRESS_RUNS": str(soak.runs),
            "AIRFLOW_STRESS_ARGS": f"--budget {soak.duration} --seed {soak.seed} --whole-budget --no-tui",
            # Nothing connects to this Prometheus from outside, and its usual port may be taken.
            "AIRFLOW_STRESS_PROMETHEUS_PORT": os.environ.get("AIRFLOW_STRESS_PROMETHEUS_PORT", "0"),
            # The harness's container has neither git nor the checkout.
            instrument.COMMIT_VARIABLE: instrument.commit(),
        }
        if soak.airflow is not None:
            self._variables["AIRFLOW_VERSION"] = soak.airflow

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a Compose command in its own session: the terminal's Ctrl-C reaches only the soak, which decides
        what to pass on. Raises OSError.
        """
        return subprocess.Popen(
            [*self._compose, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._variables,
            cwd=self._tree,
            start_new_session=True,
        )

    def compose(self, *words: str, timeout_s: float = _QUESTION_S) -> Answer:
        """Run a Compose command to its end."""
        return self._run([*self._compose, *words], timeout_s)

    def engine(self, *words: str, timeout_s: float = _QUESTION_S) -> Answer:
        """Run a command of the engine to its end."""
        return self._run(["docker", *words], timeout_s)

    def _run(self, words: Sequence[str], timeout_s: float) -> Answer:
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._variables,
                cwd=self._tree,
                start_new_session=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return Answer(None, f"{(error.output or b'').decode(errors='replace')}(did not end within {timeout_s:g} s)")
        except OSError as error:
            return Answer(None, f"{words[0]}: {error.strerror or error}")
        return Answer(done.returncode, done.stdout.decode(errors="replace"))


def machine_fault(docker: Docker) -> str | None:
    """Why this machine can't run a soak, in a sentence that says what to do; None if it can."""
    engine = docker.engine("version", "--format", "{{.Server.Version}}", timeout_s=_VERSION_S)
    if engine.code != 0:
        return (
            f"no Docker engine answers ({engine.last_line}): install Docker with Compose v2 and start it, "
            "or, if it runs, get permission to use its socket"
        )
    compose = docker.engine("compose", "version", "--short", timeout_s=_VERSION_S)
    version = re.match(r"v?(\d+)\.", compose.text.strip())
    if compose.code != 0 or version is None or int(version[1]) < 2:
        return "`docker compose` of version 2 or newer is needed: install Docker's Compose plugin"
    return None
