"""The stages of `make test`, a session each. CI has a job for each of the same names.

    lint       ruff, mypy, import-linter
    unit       pytest tests/unit: no Airflow, no server
    cluster    pytest tests/cluster: the embedded PostgreSQL, the local cluster, the watchdog, observers on real logs
    dashboards pytest tests/dashboards: rules by promtool, queries on a real Prometheus (Debian's package prometheus)
    explore    pytest tests/explore: the races' reproducers on each locked release, and searches; an embedded PostgreSQL
    airflow    pytest tests/airflow inside each locked release's environment, against a real PostgreSQL
    compose    pytest tests/compose: the cluster as containers, on a real engine (`make test-compose` brings one)
    helm       pytest tests/helm: Airflow's official chart with the fixes' values, rendered by Helm
    wheel      pytest tests/wheel: the wheel in an environment of its own, and a run with it until it is decided

`make STAGE` runs one, `make test` all; both end with a summary line (`tests/summary.py`). A stage that fails does not
keep the others from running. Sessions use the locked environment of `make install` and make none of their own.
The stages unit, explore and airflow are several pytests, of which two run at a time. Arguments after `--` are pytest's;
with some, unit and explore are one pytest: `.venv/bin/nox -s unit -- -k deadlock`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from tests.summary import DIRECTORY, Count, forget, keep  # noqa: E402 - importable only from here on

MOUNTED = ("dags", "fixes", "stress/mounted")
TEST_TOOLS = ROOT / "requirements" / "airflow-tests.txt"

nox.options.default_venv_backend = "none"


@contextmanager
def counted(session: nox.Session) -> Iterator[Count]:
    """The count of a stage, kept however it ends; the session fails if a test does."""
    forget(session.name)
    count = Count()
    began = time.monotonic()
    yield count
    count.seconds = time.monotonic() - began
    keep(session.name, count)
    if count.failed:
        session.error(str(count))


def succeeds(
    session: nox.Session, *command: str, environment: Mapping[str, str] | None = None, at_once: bool = False
) -> bool:
    """Run a command in the project's root. `environment` is the whole one; `at_once` keeps the output until the end."""
    try:
        if environment is None:
            output = session.run(*command, external=True, silent=at_once)
        else:
            env = dict(environment)
            output = session.run(*command, external=True, silent=at_once, env=env, include_outer_env=False)
    except CommandFailed:  # its output is printed by nox
        return False
    if at_once:
        print(output)
    return True


@dataclass(frozen=True)
class Part:
    """One pytest of a stage. Its own JUnit file has its name."""

    name: str
    arguments: tuple[str, ...]
    python: str = sys.executable
    environment: Mapping[str, str] | None = None


def pytest(session: nox.Session, part: Part, *, at_once: bool = False) -> Count:
    """Run a part with the session's own arguments, and count by its JUnit file.

    The output of one of several that run at once is printed whole when it ends.
    """
    junit = DIRECTORY / f"{part.name}.xml"
    junit.unlink(missing_ok=True)
    command = (part.python, "-m", "pytest", "-q", f"--junit-xml={junit}", *part.arguments, *session.posargs)
    succeeded = succeeds(session, *command, environment=part.environment, at_once=at_once)
    return Count.of_junit(junit, succeeded=succeeded)


def pytest_two_at_a_time(session: nox.Session, parts: Sequence[Part]) -> Iterator[Count]:
    """Run parts that depend neither on each other nor on the speed of the machine: each keeps about one CPU busy."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield from pool.map(lambda part: pytest(session, part, at_once=True), parts)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, mypy, import-linter."""
    with counted(session) as count:
        for command in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)):
            count.add(Count.of_command(succeeded=succeeds(session, sys.executable, "-m", *command)))
        # Imports are read from the source, which has to be found: what runs inside Airflow is not installed here.
        paths = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / place) for place in MOUNTED)}
        contracts = (str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
        count.add(Count.of_command(succeeded=succeeds(session, *contracts, environment=paths)))


@nox.session
def unit(session: nox.Session) -> None:
    """No Airflow, no server. Modules run side by side, one on each logical CPU; a module's fixtures are made once."""
    with counted(session) as count:
        count.add(pytest(session, Part("unit", ("tests/unit", "--numprocesses=logical", "--dist=loadfile"))))


@nox.session
def cluster(session: nox.Session) -> None:
    """Real servers and processes on this machine."""
    with counted(session) as count:
        count.add(pytest(session, Part("cluster", ("tests/cluster",))))


@nox.session
def dashboards(session: nox.Session) -> None:
    """Prometheus's files and Grafana's. Nothing that pip can install has a Prometheus; `.ci/run` installs Debian's."""
    with counted(session) as count:
        if shutil.which("promtool") is None and "CI" not in os.environ:
            session.warn("SKIPPED: promtool is missing: install Debian's package prometheus")
            count.skipped = 1
        else:
            count.add(pytest(session, Part("dashboards", ("tests/dashboards",))))


@nox.session
def explore(session: nox.Session) -> None:
    """The races on purpose, stock and fixed, by the commands."""
    from stress.explore.catalogue import LOCKED

    # A reproducer's test has its release in its name. The searches have none, and take longest.
    others = " and ".join(f"not {version}" for version in LOCKED)
    parts = [
        Part("explore-searches", ("tests/explore", "-k", others)),
        *(Part(f"explore-{version}", ("tests/explore", "-k", version)) for version in reversed(LOCKED)),
    ]
    with counted(session) as count:
        if session.posargs:
            count.add(pytest(session, Part("explore", ("tests/explore",))))
        else:
            for each in pytest_two_at_a_time(session, parts):
                count.add(each)


@nox.session
def airflow(session: nox.Session) -> None:
    """The fixes and the proposals inside each locked release, on one PostgreSQL."""
    from stress.arms.environments import environment_for
    from stress.arms.releases import known_releases
    from stress.arms.uvtool import run_uv
    from stress.cluster.postgres import Postgres
    from stress.cluster.supervision.guard import RunGuard

    with counted(session) as count:
        guard = RunGuard()
        postgres = Postgres(guard.directory / "postgres", guard.label)
        # Beside the environments, not in them: what a run is measured with stays what its lock says.
        tools = guard.directory / "pytest"
        install = ["pip", "install", "--python", sys.executable, "--target", str(tools), "--no-deps"]
        try:
            run_uv([*install, "--require-hashes", "--requirement", str(TEST_TOOLS)], timeout_s=120)
            postgres.start()
            variables = {
                **{k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV"))},
                "PYTHONPATH": str(tools),
                "AIRFLOW_STRESS_TEST_DSN": postgres.dsn("postgres", "tests"),
            }
            locked = [release for release in known_releases() if release.committed_lock is not None]
            environments = [environment_for(release, progress=session.log) for release in locked]
            parts = [
                Part(f"airflow-{each.release}", ("tests/airflow",), str(each.python), variables)
                for each in environments
            ]
            for each in pytest_two_at_a_time(session, parts):
                count.add(each)
        finally:
            postgres.stop()
            guard.close()


@nox.session
def compose(session: nox.Session) -> None:
    """Containers on a real engine. `make test-compose` and `.ci/run` see to it that there is one, with images."""
    from stress.cluster.compose.engine import engine_fault

    with counted(session) as count:
        fault = engine_fault()
        if fault is not None and "CI" not in os.environ:
            session.warn(f"SKIPPED: {fault}; `make test-compose` sees to all of it")
            count.skipped = 1
        else:
            count.add(pytest(session, Part("compose", ("tests/compose",))))


@nox.session
def helm(session: nox.Session) -> None:
    """The official chart, by its hash, with the real Helm. Where Apache's servers cannot be reached, it says so."""
    from tests.helm.tools import ChartMissing, chart

    with counted(session) as count:
        try:
            chart()
        except ChartMissing as missing:
            # A hosted runner can reach them: there, a chart that cannot be had is a failure.
            if "GITHUB_ACTIONS" in os.environ:
                session.warn(f"FAILED, NOTHING WAS RENDERED: {missing}")
                count.failed = 1
            else:
                session.warn(f"SKIPPED, NOTHING WAS RENDERED: {missing}")
                count.skipped = 1
        else:
            count.add(pytest(session, Part("helm", ("tests/helm",))))


@nox.session
def wheel(session: nox.Session) -> None:
    """The product as a user installs it."""
    with counted(session) as count:
        count.add(pytest(session, Part("wheel", ("tests/wheel",))))
