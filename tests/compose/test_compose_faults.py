"""Faults on containers, on both arms, each kind at least once: healed, healthy again, and shown by every dashboard.

One run for all tests of this module but the last, which kill a harness while a fault lasts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from asked import DASHBOARDS, QUERIES, VARIABLES, Filled
from grafana_files import Dashboard, Panel, Target, Variable
from projects import Project, events_of, stress, the_run, wait_for
from prometheus_server import Server

from stress.components import COMPONENTS
from stress.faults import FAULTS
from stress.faults.schedule import schedule

KINDS = [name for name, fault in FAULTS.items() if "compose" in fault.runtimes]
LOAD_S = 60
RUN_TIMEOUT_S = 780
STARTED_WITHIN_S = 240.0
LONG_S = 10.0
SOON_S = 8.0

pytestmark = pytest.mark.timeout(1200)


@dataclass
class Done:
    """A run with faults that has ended."""

    project: Project
    directory: Path
    began: float
    code: int


@pytest.fixture(scope="module")
def run(lasting_project: Project) -> Done:
    """Stock and fixed, a block each, beside a Prometheus that scrapes it."""
    project = lasting_project
    project.variables["AIRFLOW_STRESS_ARGS"] = f"--faults all --load {LOAD_S}s --budget 60s --seed 1 --no-tui"
    project.variables["AIRFLOW_STRESS_PROMETHEUS_PORT"] = "0"
    began = time.time()
    done = project.compose(
        "up", "--build", "--exit-code-from", "stress", "stress", "prometheus", timeout_s=RUN_TIMEOUT_S
    )
    print(done.stdout[-6000:], done.stderr[-3000:])
    return Done(project, the_run(project), began, done.returncode)


def test_a_block_an_arm_is_complete_and_decides_nothing_yet(run: Done) -> None:
    assert run.code in (1, 2)
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
    """The Prometheus that scraped the run, started again on what it kept."""
    project = run.project
    assert project.compose("start", "prometheus").returncode == 0
    port = int(project.compose("port", "prometheus", "9090").stdout.rpartition(":")[2])
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


@pytest.mark.parametrize("fault", ["pause", "cutoff", "slow"])
def test_a_harness_that_is_killed_while_a_fault_lasts_leaves_what_clean_removes(
    project: Project, tmp_path: Path, fault: str
) -> None:
    output = tmp_path / "output"
    # The harness ends the stock cluster as its first step: its containers are made as patterns, and never started.
    made = project.compose("create", "--build", *COMPONENTS)
    assert made.returncode == 0, made.stderr
    up = project.compose("up", "--detach", "--wait", "postgres")
    assert up.returncode == 0, up.stderr
    client = project.start(
        output,
        *("run", "--no-deps", "-T", "stress", "run", "--arm", "fixed", "--faults", fault),
        *("--load", f"{LOAD_S}s", "--budget", "60s", "--seed", str(a_seed_with_a_long(fault)), "--no-tui"),
    )
    try:
        wait_for(lambda: client.poll() is not None or is_active(project), STARTED_WITHIN_S, f"the first {fault}")
        assert client.poll() is None, output.read_text()
        (harness,) = project.containers("stress")
        harness.kill()
        harness.wait()
        assert is_active(project), "the fault was over before the harness was"
    finally:
        client.kill()
        client.wait()
    left = [container for container in project.containers() if container.status in ("running", "paused")]
    assert len(left) > 6, "there was nothing to clean"
    assert fault != "pause" or any(container.status == "paused" for container in left)
    done = stress("clean", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.name in done.stdout
    assert project.left() == []


def a_seed_with_a_long(fault: str) -> int:
    """A seed whose first fault comes soon, and lasts long enough for a harness to be killed meanwhile."""
    first = ((seed, schedule(seed, 0, [fault], LOAD_S)[0]) for seed in range(10_000))
    return next(seed for seed, planned in first if planned.seconds >= LONG_S and planned.at_s <= SOON_S)


def is_active(project: Project) -> bool:
    """Whether a fault is active now, by the history."""
    runs = [path for path in project.runs.iterdir() if (path / "history.jsonl").exists()]
    told = events_of(runs[0], ["fault_injected", "fault_healed"]) if runs else []
    return bool(told) and told[-1]["kind"] == "fault_injected"
