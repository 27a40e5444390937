"""Where `stress run --runtime compose` can't work: one clear error that says what to do, within 3 s of CPU."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stress.layout import ROOT
from tests.timing import cpu_s_of_children

CPU_S = 3.0
TIMEOUT_S = 20.0
"""For what is no work of ours: the engine's answer, and a machine that is busy."""


def run(path: str, **variables: str) -> tuple[int, str]:
    """Exit code and error output of a compose run with that search path."""
    environment = {**os.environ, "PATH": path, **variables}
    before = cpu_s_of_children()
    done = subprocess.run(
        [sys.executable, "-m", "stress", "run", "--runtime", "compose", "--out", "/tmp/never-made"],  # noqa: S108
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert cpu_s_of_children() - before < CPU_S
    assert not Path("/tmp/never-made").exists()  # noqa: S108
    return done.returncode, done.stderr


def the_error(text: str) -> str:
    """The one line that there is."""
    (line,) = text.splitlines()
    return line


def test_no_docker(tmp_path: Path) -> None:
    code, text = run(str(tmp_path))
    assert code == 3
    assert the_error(text).startswith("stress: there is no `docker` on the path: install Docker")


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    code, text = run(os.environ["PATH"], DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert code == 3
    assert "no Docker engine answers" in the_error(text)
    assert "--runtime local" in text


# Another user may be unable to read this Python: everything is imported before we become somebody else.
AS_NOBODY = """
import os, sys
import docker, stress.cli, stress.plan, stress.cluster.compose.outside
os.environ["HOME"] = "/nonexistent"
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(stress.cli.main(["run", "--runtime", "compose", "--out", "/tmp/never-made"]))
"""


def test_a_socket_that_one_may_not_use() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody who may not")
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 3
    assert "you may not use the Docker engine's socket" in the_error(done.stderr)


def test_compose_of_the_first_version(tmp_path: Path) -> None:
    for name, script in (("docker", "#!/bin/sh\nexit 1\n"), ("docker-compose", "#!/bin/sh\necho 1.29.2\n")):
        program = tmp_path / name
        program.write_text(script)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    code, text = run(f"{tmp_path}:{os.environ['PATH']}")
    assert code == 3
    assert "only Compose v1" in the_error(text)


def test_an_image_that_is_not_there() -> None:
    before = cpu_s_of_children()
    done = subprocess.run(
        [sys.executable, "-m", "stress", "run", "--runtime", "compose", "--airflow", "3.1.3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert cpu_s_of_children() - before < CPU_S
    assert done.returncode == 3
    assert "the image apache/airflow:3.1.3 is not on this engine: `docker pull apache/airflow:3.1.3`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_mistakes_in_the_options_are_told_beside_it_and_before(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stress", "run", "--runtime", "compose", "--budget", "soon", "--faults", "earthquake"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 64
    assert "--budget 'soon'" in done.stderr
    assert "--faults 'earthquake'" in done.stderr
    assert "there is no `docker` on the path" in done.stderr
