"""Faults on containers, on both arms, each kind at least once: healed, healthy again, and shown by every dashboard.

One run for all tests of this module but the last, which kills a harness while faults last.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from stress.components import COMPONENTS
from stress.faults import FAULTS
from tests.compose.projects import Project, events_of, stress, the_run
from tests.dashboards.asked import DASHBOARDS, QUERIES, VARIABLES, Filled
from tests.dashboards.grafana_files import Dashboard, Panel, Target, Variable
from tests.dashboards.prometheus_server import Server
from tests.timing import wait_for

KINDS = [name for name, fault in FAULTS.items() if "compose" in fault.runtimes]
LOAD_S = 60
BUILT = "secrets"
"""The one service that builds the harness's image. Compose builds no dependency of a service that it creates."""
RUN_TIMEOUT_S = 780
STARTED_WITHIN_S = 240.0
ACTIVE = "three faults are active"

# A harness in the middle of a block, with each fault that lasts.
HARNESS = f"""
import time
from pathlib import Path
from stress.arms.releases import DEFAULT_RELEASE, check
from stress.arms.spec import parse_arm
from stress.cluster.base import ClusterSettings
from stress.cluster.compose.runtime import ComposeRuntime
arm = parse_arm("stock", check(DEFAULT_RELEASE))
runtime = ComposeRuntime("killed").prepare([arm])
cluster = runtime.open(arm, 0, Path("runs/killed/logs/0"), ClusterSettings())
cluster.start()
cluster.pause("scheduler-1")
cluster.cut_off("triggerer-1")
cluster.slow("dag-processor", 50.0, 5.0, 0.0)
print("{ACTIVE}", flush=True)
time.sleep(1000)  # until it is killed
"""

pytestmark = pytest.mark.timeout(1200)


@dataclass
class Done:
    """A run with faults that has ended."""

    project: Project
    directory: Path
    began: float
    code: int


def beside_the_harness(project: Project, *services: str) -> None:
    """Start what a harness needs. It ends the stock cluster as its first step: its containers are made, as patterns,
    and never started.
    """
    made = project.compose("create", "--build", BUILT, *COMPONENTS)
    assert made.returncode == 0, made.stderr
    up = project.compose("up", "--detach", "--wait", *services)
    assert up.returncode == 0, up.stderr


@pytest.fixture(scope="module")
def run(lasting_project: Project) -> Done:
    """Stock and fixed, a block each, beside a Prometheus that scrapes it."""
    project = lasting_project
    project.variables["AIRFLOW_STRESS_PROMETHEUS_PORT"] = "0"
    beside_the_harness(project, "postgres", "prometheus")
    began = time.time()
    done = project.compose(
        *("run", "--no-deps", "--use-aliases", "-T", "stress", "run", "--faults", "all", "--load", f"{LOAD_S}s"),
        *("--budget", "60s", "--seed", "1", "--no-tui"),
        timeout_s=RUN_TIMEOUT_S,
    )
    print(done.stdout[-6000:], done.stderr[-3000:])
    return Done(project, the_run(project), began, done.returncode)


def test_a_block_an_arm_is_complete_and_decides_nothing_yet(run: Done) -> None:
    # A block of each arm can show that a race remains, and removes none. Which of the two it is depends on the faults.
    verdict = json.loads((run.directory / "results.json").read_text())["verdict"]
    assert run.code == {"fail": 1, "unknown": 2}[verdict]
    ended = events_of(run.directory, ["block_ended"])
    assert [event["complete"] for event in ended] == [True, True]
    assert events_of(run.directory, ["observer_blind"]) == []


def test_every_kind_is_injected_and_healed_in_both_arms_alike(run: Done) -> None:
    injected = events_of(run.directory, ["fault_injected"])
    healed = events_of(run.directory, ["fault_healed"])
    assert {event["fault"] for event in injected} == set(KINDS)
    assert sorted((event["number"], event["fault"]) for event in healed) == sorted(
        (event["number"], event["fault"]) for event in injected
    )
    assert [event["error"] for event in healed if event["error"]] == []
    # The first fault waits for nothing, so that it is there in both.
    first = [(event["fault"], event["target"], event["planned_s"]) for event in injected if event["number"] == 0]
    assert len(first) == 2
    assert first[0] == first[1]


def test_every_component_is_healthy_again_within_a_minute(run: Done) -> None:
    healthy = events_of(run.directory, ["components_healthy"])
    assert [event["missing"] for event in healthy] == [[], []]
    assert max(event["seconds"] for event in healthy) < 60


@pytest.fixture(scope="module")
def filled(run: Done) -> Filled:
    """The Prometheus that scraped the run."""
    port = int(run.project.compose("port", "prometheus", "9090").stdout.rpartition(":")[2])
    server = Server(port)

    def ready() -> bool:
        try:
            return server.get("/-/ready")[0] == 200
        except OSError:
            return False

    wait_for(ready, 30, "Prometheus to be ready")
    now = time.time()
    window = f"{now - run.began:.0f}s"
    # Shown until the last scrape of the run: what a person sees who looks at it in its last moment.
    (last,) = server.query(f"max(max_over_time(timestamp(airflow_stress_run_info)[{window}:5s]))")
    end = last.numbers()[0]
    return Filled(server, end, end - run.began, step_s=5, rate_interval="20s")


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_a_panel_shows_something_of_a_real_run(filled: Filled, panel: Panel, target: Target) -> None:
    filled.panel_shows(panel, target)


@pytest.mark.parametrize(("dashboard", "variable"), VARIABLES)
def test_a_variable_has_values(filled: Filled, dashboard: Dashboard, variable: Variable) -> None:
    filled.variable_has_values(dashboard, variable)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_faults_are_marked(filled: Filled, dashboard: Dashboard) -> None:
    filled.annotations_mark(dashboard)


def test_a_harness_that_is_killed_while_faults_last_leaves_what_clean_removes(project: Project, tmp_path: Path) -> None:
    output = tmp_path / "output"
    beside_the_harness(project, "postgres")
    command = ("run", "--no-deps", "-T", "--entrypoint", "python", "stress", "-c", HARNESS)
    client = project.start(output, *command)
    try:
        wait_for(lambda: client.poll() is not None or ACTIVE in output.read_text(), STARTED_WITHIN_S, "the faults")
        assert client.poll() is None, output.read_text()
        (harness,) = project.containers("stress")
        harness.kill()
        harness.wait()
    finally:
        client.kill()
        client.wait()
    left = [container for container in project.containers() if container.status in ("running", "paused")]
    assert len(left) > 6, "there was nothing to clean"
    assert any(container.status == "paused" for container in left)
    done = stress("clean", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.name in done.stdout
    assert project.left() == []
