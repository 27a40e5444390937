"""`make test`: everything that CI runs, one stage after another, and one summary line at the end.

    lint       ruff and mypy
    unit       pytest tests/unit: no Airflow, no server
    cluster    pytest tests/cluster: the embedded PostgreSQL, the local cluster, the watchdog, observers on real logs
    dashboards pytest tests/dashboards: rules by promtool, queries on a real Prometheus (Debian's package prometheus)
    explore    pytest tests/explore: the twins of the races on each locked release, and searches; an embedded PostgreSQL
    airflow    pytest tests/airflow inside each locked release's environment, against a real PostgreSQL
    compose    pytest tests/compose: the cluster as containers, on a real engine (`make test-compose` brings one)
    run        `stress run`, stock against fixed, until it is decided: the product itself, as a user runs it

A stage that fails does not keep the others from running. Names of stages as arguments run only those. The last line is
the sum over all stages, a lint command and the run counting as one test each; the exit code is 0 if nothing failed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stress.arms.environments import environment_for
from stress.arms.releases import known_releases
from stress.arms.uvtool import run_uv
from stress.cluster.compose.engine import engine_fault
from stress.cluster.guard import RunGuard
from stress.cluster.postgres import Postgres
from stress.layout import ROOT

TEST_TOOLS = ROOT / "requirements" / "airflow-tests.txt"
RUN_BUDGET = "14m"
LEAST_BLOCKS = 4
"""Blocks of stock that show each race: the first look has 5 + 4 or 4 + 5 blocks."""


@dataclass
class Count:
    """Tests of a stage."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __iadd__(self, other: Count) -> Count:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self


def command(name: str, *arguments: str, environment: dict[str, str] | None = None) -> int:
    """Run a command in the project's root, its output passed through."""
    print(f"--- {name}: {' '.join(arguments[:1])} {' '.join(arguments[1:])}".replace(str(ROOT), "."), flush=True)
    return subprocess.run(arguments, cwd=ROOT, env=environment, check=False).returncode


def one(code: int) -> Count:
    """A command that counts as one test."""
    return Count(passed=int(code == 0), failed=int(code != 0))


def pytest(name: str, python: str, *arguments: str, environment: dict[str, str] | None = None) -> Count:
    """Run pytest and count by its JUnit file; a pytest that died without one is a failure."""
    with tempfile.TemporaryDirectory() as scratch:
        junit = Path(scratch) / "junit.xml"
        code = command(name, python, "-m", "pytest", "-q", f"--junit-xml={junit}", *arguments, environment=environment)
        if not junit.exists():
            return Count(failed=1)
        suites = ET.parse(junit).getroot().iter("testsuite")  # noqa: S314 - written by our own pytest
        count = Count()
        for suite in suites:
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped = int(suite.get("skipped", 0))
            count += Count(int(suite.get("tests", 0)) - bad - skipped, bad, skipped)
        if code != 0 and count.failed == 0:
            count.failed = 1
        return count


def lint() -> Count:
    """ruff and mypy."""
    count = one(command("ruff check", sys.executable, "-m", "ruff", "check", "."))
    count += one(command("ruff format", sys.executable, "-m", "ruff", "format", "--check", "."))
    count += one(command("mypy", sys.executable, "-m", "mypy"))
    return count


def unit() -> Count:
    """No Airflow, no server."""
    return pytest("unit", sys.executable, "tests/unit")


def cluster() -> Count:
    """Real servers and processes on this machine."""
    return pytest("cluster", sys.executable, "tests/cluster")


def dashboards() -> Count:
    """Prometheus's files and Grafana's. Nothing that pip can install has a Prometheus; `.ci/run` installs Debian's."""
    if shutil.which("promtool") is None and "CI" not in os.environ:
        print("--- dashboards: SKIPPED, promtool is missing: install Debian's package prometheus", flush=True)
        return Count(skipped=1)
    return pytest("dashboards", sys.executable, "tests/dashboards")


def airflow() -> Count:
    """The fixes and the proposals inside each locked release, on one PostgreSQL."""
    count = Count()
    guard = RunGuard()
    postgres = Postgres(guard.directory / "postgres", guard.label)
    # Beside the environments, not in them: what a run is measured with stays what its lock says.
    tools = guard.directory / "pytest"
    install = ["pip", "install", "--python", sys.executable, "--target", str(tools), "--no-deps", "--require-hashes"]
    try:
        run_uv([*install, "--requirement", str(TEST_TOOLS)], timeout_s=120)
        postgres.start()
        for release in known_releases():
            if release.committed_lock is None:
                continue
            environment = environment_for(release, progress=lambda line: print(line, flush=True))
            variables = {
                **{k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV"))},
                "PYTHONPATH": str(tools),
                "AIRFLOW_STRESS_TEST_DSN": postgres.dsn("postgres", "tests"),
            }
            count += pytest(
                f"airflow {release.version}", str(environment.python), "tests/airflow", environment=variables
            )
    finally:
        postgres.stop()
        guard.close()
    return count


def explore() -> Count:
    """The races on purpose, stock and fixed, by the commands."""
    return pytest("explore", sys.executable, "tests/explore")


def compose() -> Count:
    """Containers on a real engine. `make test-compose` and `.ci/run` see to it that there is one, with images."""
    fault = engine_fault()
    if fault is not None and "CI" not in os.environ:
        print(f"--- compose: SKIPPED, {fault}; `make test-compose` sees to all of it", flush=True)
        return Count(skipped=1)
    return pytest("compose", sys.executable, "tests/compose")


def run() -> Count:
    """The product itself: all three races removed, and every bar of the run that a short run can show."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        code = command(
            "stress run", sys.executable, "-m", "stress", "run", "--no-tui", "--budget", RUN_BUDGET, "--out", str(out)
        )
        if code != 0:
            print(f"FAILED: stress run ended with {code}, not 0", flush=True)
            return Count(failed=1)
        results = json.loads((out / "results.json").read_text())
        wrong = []
        for race, verdict in results["races"].items():
            stock, fixed = verdict["arms"]["stock"], verdict["arms"]["fixed"]
            shown = sum(b["arm"] == "stock" and b["counts"][race][0] > 0 for b in results["blocks"])
            # What the stop rule rests on: the first look needs every block of the control to show the race.
            if verdict["verdict"] != "removed" or shown < LEAST_BLOCKS or fixed["incidents"]:
                wrong.append(f"{race}: {verdict['reason']}")
            if stock["first_incident_s"] > 60:
                wrong.append(f"{race}: first seen after {stock['first_incident_s']:.0f} s of load")
        for line in wrong:
            print(f"FAILED: {line}", flush=True)
        return Count(passed=int(not wrong), failed=int(bool(wrong)))


STAGES: dict[str, Callable[[], Count]] = {
    "lint": lint,
    "unit": unit,
    "cluster": cluster,
    "dashboards": dashboards,
    "explore": explore,
    "airflow": airflow,
    "compose": compose,
    "run": run,
}


def main(names: list[str]) -> int:
    """Run the stages and print the sum."""
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"there are no stages {', '.join(unknown)}: there are {', '.join(STAGES)}", file=sys.stderr)
        return 64
    total, lines = Count(), []
    for name in names or STAGES:
        began = time.monotonic()
        count = STAGES[name]()
        total += count
        lines.append(
            f"{name:10} {count.passed} passed, {count.failed} failed, {count.skipped} skipped "
            f"in {time.monotonic() - began:.0f} s"
        )
    print("\n" + "\n".join(lines))
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return int(total.failed > 0 or total.passed == 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
