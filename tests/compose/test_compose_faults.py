"""Faults on containers: each kind once, healed; and a harness that is killed while a fault lasts."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project, events_of, stress, the_run, wait_for

from stress.faults import FAULTS

KINDS = [name for name, fault in FAULTS.items() if "compose" in fault.runtimes]
STARTED_WITHIN_S = 240.0


def test_every_kind_is_injected_and_healed_and_every_component_is_healthy_again(project: Project) -> None:
    done = project.compose(
        *("run", "--rm", "--build", "-T", "stress", "run", "--arm", "fixed", "--faults", "all"),
        *("--load", "100s", "--budget", "60s", "--seed", "1", "--no-tui"),
        timeout_s=600,
    )
    print(done.stdout[-4000:], done.stderr[-2000:])
    assert done.returncode == 2, "a single arm decides nothing"
    run = the_run(project)
    injected = events_of(run, ["fault_injected"])
    healed = events_of(run, ["fault_healed"])
    assert {event["fault"] for event in injected} == set(KINDS)
    assert [event["number"] for event in healed] == [event["number"] for event in injected]
    assert not any(event["error"] for event in healed)
    (healthy,) = events_of(run, ["components_healthy"])
    assert healthy["missing"] == []
    assert healthy["seconds"] < 60
    assert events_of(run, ["observer_blind"]) == []
    assert events_of(run, ["block_ended"])[-1]["complete"]


@pytest.mark.parametrize("fault", ["pause", "cutoff"])
def test_a_harness_that_is_killed_while_a_fault_lasts_leaves_what_clean_removes(
    project: Project, tmp_path: Path, fault: str
) -> None:
    output = tmp_path / "output"
    run = project.start(
        output,
        *("run", "--build", "-T", "stress", "run", "--arm", "fixed", "--faults", fault),
        *("--load", "100s", "--budget", "60s", "--seed", "1", "--no-tui"),
    )
    try:
        # The history tells it at once, and before it is healed: the harness is killed while it lasts.
        wait_for(
            lambda: run.poll() is not None or active(project) == fault,
            STARTED_WITHIN_S,
            f"the first {fault}",
        )
        assert run.poll() is None, output.read_text()
        (harness,) = project.containers("stress")
        harness.kill()
        harness.wait()
    finally:
        run.kill()
        run.wait()
    left = [container for container in project.containers() if container.status in ("running", "paused")]
    assert len(left) > 6, "there was nothing to clean"
    assert fault != "pause" or any(container.status == "paused" for container in left)
    done = stress("clean", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.name in done.stdout
    assert project.left() == []


def active(project: Project) -> str | None:
    """The fault of at least a second that is active now, by the history."""
    runs = [path for path in project.runs.iterdir() if (path / "history.jsonl").exists()]
    if not runs:
        return None
    told = events_of(runs[0], ["fault_injected", "fault_healed"])
    last = told[-1] if told else {}
    return str(last["fault"]) if last.get("kind") == "fault_injected" and last["planned_s"] >= 1 else None
