"""A soak that is interrupted, takes too long or is killed: what was recorded is judged."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from stress.layout import ROOT
from stress.results import RunState
from tests.unit.soaks import Machine, blocks, ended, leave_running


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_the_run_judges_what_it_recorded(machine: Machine, number: signal.Signals) -> None:
    ended(machine.run, blocks(), RunState.INTERRUPTED)
    process = machine.begin("waits")
    machine.wait_until_up()
    process.send_signal(number)
    soak = machine.end(process)
    assert (soak.code, soak.is_removed) == (2, True)
    assert soak.headline == f"# Failed: interrupted by {number.name}"
    assert "## Unknown: " in soak.page
    assert soak.bad


def test_a_second_signal_kills_the_run_and_its_history_is_judged(machine: Machine) -> None:
    leave_running(machine)
    process = machine.begin("deaf")
    machine.wait_until_up()
    process.send_signal(signal.SIGTERM)
    machine.wait_until_asked_to_end()
    process.send_signal(signal.SIGTERM)
    soak = machine.end(process)
    assert (soak.code, soak.is_removed) == (3, True)
    assert "| deadlock |" in soak.page
    assert "the run was killed because it did not end in time" in soak.page


def test_a_run_that_exceeds_its_time_is_ended(machine: Machine) -> None:
    ended(machine.run, blocks(), RunState.INTERRUPTED)
    # With the command itself, the shortest run is a minute.
    program = "import sys; from stress.soak.__main__ import main; sys.exit(main(sys.argv[1:], least_s=1.0))"
    machine.environment["PYTHONPATH"] = str(ROOT)
    words = ("--duration", "1s", "--beyond", "1s", "--out", str(machine.out))
    process = machine.begin("waits", *words, command=("python3", "-c", program))
    soak = machine.end(process)
    assert (soak.code, soak.is_removed) == (2, True)
    assert re.match(r"# Failed: the run had not ended .* beyond its duration of 1s", soak.headline)


def test_a_killed_soak_is_finished_later(machine: Machine) -> None:
    leave_running(machine)
    process = machine.begin("waits")
    machine.wait_until_up()
    process.kill()
    assert not machine.end(process).is_removed
    machine.end_compose()
    soak = machine.soak("waits", "--finish", "--out", str(machine.out))
    assert (soak.code, soak.is_removed) == (2, True)
    assert soak.headline == "# Failed: the soak was killed before its end, and finished later"
    assert "| deadlock |" in soak.page
    assert soak.bad


def test_finishing_a_finished_soak_changes_nothing(machine: Machine) -> None:
    ended(machine.run, blocks(incidents_fixed=10))
    first = machine.soak("fails")
    machine.page.unlink()
    again = machine.soak("fails", "--finish", "--out", str(machine.out))
    assert (again.code, again.calls, again.page) == (1, first.calls, "")
