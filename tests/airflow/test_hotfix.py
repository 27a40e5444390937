"""Airflow's commands with the environment that its Helm chart renders for `deploy/helm/fixes-values.yaml`.

`tests/helm` renders it and keeps it in `rendered.json`. The paths of a container are directories of a test here, and
the secrets are the test's. Each process is the command of a pod, with the archive of a ConfigMap as its mount.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
from servers import Server

from airflow_stress_fixes import catalogue, status
from airflow_stress_fixes.fix import Fit

ROOT = Path(__file__).resolve().parents[2]
RENDERED = json.loads((ROOT / "tests" / "helm" / "rendered.json").read_text())["components"]
RELEASE = "3.2.1"
"""One release is enough: which fixes apply to the others is tested in test_mount.py, at a fraction of the time."""
START_TIMEOUT_S = 150
END_TIMEOUT_S = 20

on_one_release = pytest.mark.skipif(version("apache-airflow-core") != RELEASE, reason=f"runs on {RELEASE} only")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the ConfigMap, by the command of docs/hotfix.md."""
    directory = tmp_path_factory.mktemp("mount")
    command = [sys.executable, "-m", "zipfile", "--create", str(directory / "fixes.zip")]
    subprocess.run([*command, "fixes/sitecustomize.py", "fixes/airflow_stress_fixes"], cwd=ROOT, check=True)
    return directory / "fixes.zip"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def container(component: str, archive: Path, root: Path, url: str) -> dict[str, str]:
    """The environment of a component's container with the paths and secrets of this machine; makes its directories."""
    home = root / "home"
    (home / "dags").mkdir(parents=True)
    # The chart mounts this file. Here it keeps the ports of several components apart.
    (home / "airflow.cfg").write_text(
        f"[core]\nexecutor = LocalExecutor\nload_examples = False\ndags_folder = {home}/dags\nparallelism = 1\n"
        f"[api]\nhost = 127.0.0.1\nport = {free_port()}\nworkers = 1\n"
        f"[logging]\nworker_log_server_port = {free_port()}\ntrigger_log_server_port = {free_port()}\n"
    )
    secret = {
        "stress-metadata/connection": url,
        "stress-fernet-key/fernet-key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "stress-api-secret-key/api-secret-key": secrets.token_hex(32),
        "stress-jwt-secret/jwt-secret": secrets.token_hex(32),
        "stress-broker-url/connection": "redis://127.0.0.1:1/0",
    }
    places = {
        "/opt/airflow/stress-fixes": str(archive.parent),
        "/tmp/airflow-stress-fixes": str(root / "status"),  # noqa: S108 - the path in a container
        "/opt/airflow": str(home),
    }
    found = {}
    for name, value in RENDERED[component]["env"].items():
        if value.startswith("secret:"):
            found[name] = secret[value.removeprefix("secret:")]
        else:
            found[name] = next(
                (place + value[len(path) :] for path, place in places.items() if value.startswith(path)), value
            )
    # The image's own: its command line is on the path, and the user has a home.
    return {**found, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(root)}


@contextmanager
def running(component: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command of a component's pod."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            RENDERED[component]["args"], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def settled(process: subprocess.Popen[bytes], directory: Path, log: Path) -> list[status.Line]:
    """The lines of a component once none of its fixes waits."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        lines = status.read(directory)
        if lines and all(line.status != "waiting" for line in lines):
            return lines
        assert time.monotonic() < deadline, f"{lines}\n{log.read_text()[-3000:]}"
        time.sleep(0.2)


def asked(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """The command that docs/hotfix.md runs in a pod."""
    return subprocess.run(
        ["python", "-m", "airflow_stress_fixes.status", *options],  # noqa: S607 - as in the container
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@on_one_release
def test_the_components_of_the_chart_load_their_fixes(tmp_path: Path, archive: Path, database: Server) -> None:
    names = ("scheduler", "triggerer", "api-server")
    environments = {name: container(name, archive, tmp_path / name, database.url()) for name in names}
    logs = {name: tmp_path / f"{name}.log" for name in names}
    with (
        running("scheduler", environments["scheduler"], logs["scheduler"]) as scheduler,
        running("triggerer", environments["triggerer"], logs["triggerer"]) as triggerer,
        running("api-server", environments["api-server"], logs["api-server"]) as api_server,
    ):
        for name, process in zip(names, (scheduler, triggerer, api_server), strict=True):
            lines = settled(process, tmp_path / name / "status", logs[name])
            # What must load here is loaded or not needed, as the catalogue says of this release.
            wanted = {
                fix.name: "loaded" if fix.fits(RELEASE) is Fit.APPLIES else "not_needed"
                for fix in catalogue.resolve("all")
                if name in fix.components
            }
            assert wanted
            assert {line.fix: line.status for line in lines}.items() >= wanted.items()
            done = asked(environments[name])
            assert done.returncode == 0, done.stdout + done.stderr
            measured = asked(environments[name], "--metrics").stdout
            for fix, word in wanted.items():
                assert re.search(rf"^{name} +{fix} +{word} +\d+$", done.stdout, re.MULTILINE)
                series = f'airflow_stress_fix_processes{{component="{name}",fix="{fix}",status="{word}"}} '
                (value,) = [line.removeprefix(series) for line in measured.splitlines() if line.startswith(series)]
                assert int(value) >= 1
                assert (f"airflow-stress fixes: loaded fix {fix} " in logs[name].read_text()) is (word == "loaded")
    # A process that ended reports nothing, and the command says so.
    ended = asked(environments["scheduler"])
    assert ended.returncode == 1
    assert "no living process reports a fix" in ended.stderr
    assert list((tmp_path / "scheduler" / "status").iterdir()) == []


@on_one_release
def test_on_a_release_that_was_not_examined_stock_code_runs_and_the_reason_is_shown(
    tmp_path: Path, archive: Path, database: Server
) -> None:
    import airflow

    # The same files, but for the number: what stays unchanged in a newer release is refused, too.
    stock, newer = Path(airflow.__file__).parent, tmp_path / "newer" / "airflow"
    newer.mkdir(parents=True)
    for file in stock.iterdir():
        (newer / file.name).symlink_to(file)
    (newer / "__init__.py").unlink()
    text = (stock / "__init__.py").read_text()
    (newer / "__init__.py").write_text(re.sub(r"(?m)^__version__ = .*", '__version__ = "3.99.0"', text))
    environment = container("triggerer", archive, tmp_path / "pod", database.url())
    environment["PYTHONPATH"] += f"{os.pathsep}{newer.parent}"
    log = tmp_path / "log"
    with running("triggerer", environment, log) as process:
        lines = settled(process, tmp_path / "pod" / "status", log)
        assert {line.status for line in lines} == {"refused"}
        done = asked(environment)
    assert done.returncode == 1
    for said in (done.stdout, log.read_text()):
        assert "Airflow 3.99.0 was not examined" in said
        assert "stock code stays" in said
    assert "loaded fix" not in log.read_text()
