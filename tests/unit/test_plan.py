"""The plan: every mistake at once, nothing written, and arms that take turns."""

from __future__ import annotations

import dataclasses
import os
import socket
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from stress import plan as module
from stress.arms.releases import Release
from stress.plan import BadOptions, Options, Plan, check
from stress.races import choice
from stress.races.registry import SCENARIOS, races_of
from stress.report.blind_spots import NOT_JUDGED, of_run
from stress.run.settings import cluster_settings, shown
from tests.unit.planned import mistakes, the_mistake

GOOD = Options(seed="7")


pytestmark = pytest.mark.usefixtures("quiet_machine")


def test_without_options_stock_is_compared_with_fixed_in_every_scenario() -> None:
    plan = check(Options())
    assert [arm.name for arm in plan.arms] == ["stock", "fixed"]
    assert plan.races == ("deadlock", "duplicate_callback", "out_of_order_frame")


def test_without_a_request_the_plan_has_the_races_that_its_release_can_have() -> None:
    plan = check(replace(GOOD, airflow="3.3.2"))
    assert plan.races == ("duplicate_callback",)
    assert [race for race, _ in plan.left_out] == ["deadlock", "out_of_order_frame"]
    assert "Airflow 3.3.2" in plan.chosen
    settings = shown(plan)
    assert "Airflow 3.3.2" in settings[f"{NOT_JUDGED}deadlock"]
    why = {spot.what.partition(":")[0]: spot.why for spot in of_run(settings, plan.races)}
    assert why["deadlock"] == dict(plan.left_out)["deadlock"]


@pytest.mark.parametrize(
    "options",
    [
        replace(GOOD, airflow="3.3.2", races=("deadlock",)),
        replace(GOOD, airflow="3.3.2", scenarios=("version_churn",)),
        replace(GOOD, airflow="3.3.2", races=("all",)),
    ],
)
def test_what_is_asked_for_is_judged_on_every_release(options: Options) -> None:
    plan = check(options)
    assert "deadlock" in plan.races
    assert (plan.chosen, plan.left_out) == ("", ())


def test_a_release_without_a_race_that_a_load_provokes_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "can_have", lambda *_: False)
    assert "stress repro all --airflow 3.2.1" in the_mistake(GOOD)


def test_a_scenario_that_is_asked_for_runs_alone() -> None:
    plan = check(replace(GOOD, scenarios=("deadline_miss",)))
    assert (plan.races, plan.dags) == (("duplicate_callback",), ("deadline_queue",))
    assert plan.load.users == ["DeadlineMisser", "UiReader"]


def test_scenarios_run_in_the_order_of_their_reports() -> None:
    plan = check(replace(GOOD, scenarios=("trigger_cancel", "version_churn", "trigger_cancel")))
    assert plan.races == ("deadlock", "out_of_order_frame")


def test_a_scenario_brings_its_airflow_config() -> None:
    assert "core.min_serialized_dag_update_interval" in check(replace(GOOD, scenarios=("version_churn",))).config


def test_the_release_is_that_of_arms_that_name_none() -> None:
    plan = check(replace(GOOD, airflow="3.3.2", arms=("stock", "old=airflow:3.1.8,fixes:none")))
    assert [arm.airflow.version for arm in plan.arms] == ["3.3.2", "3.1.8"]


def test_a_seed_that_is_given_is_taken() -> None:
    assert check(GOOD).seed == 7


def test_without_a_seed_runs_differ() -> None:
    assert len({check(Options()).seed for _ in range(3)}) > 1


def test_each_run_has_a_directory_of_its_own(tmp_path: Path) -> None:
    first, second = check(GOOD), check(GOOD)
    assert first.directory.parent == tmp_path / "here" / "runs"
    assert first.directory != second.directory


def test_a_directory_that_is_given_is_taken(tmp_path: Path) -> None:
    assert check(replace(GOOD, out=str(tmp_path / "a" / "b"))).directory == tmp_path / "a" / "b"


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("100h", 360000.0)]
)
def test_a_budget_is_a_time_with_its_unit(text: str, seconds: float) -> None:
    assert check(replace(GOOD, budget=text)).budget_s == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "10 m", "10M", "1e3s", "59s", "0h", "nan", "ten minutes"])
def test_a_budget_that_is_no_time_is_a_mistake(text: str) -> None:
    expected = f"--budget {text!r}: write a time such as 90s, 10m or 1.5h, at least 60s"
    assert the_mistake(replace(GOOD, budget=text)) == expected


@pytest.mark.parametrize("text", ["4s", "61m", "x"])
def test_a_load_outside_its_bounds_is_a_mistake(text: str) -> None:
    assert the_mistake(replace(GOOD, load=text)).endswith("at least 5s and at most 3600s")


def test_a_load_that_is_given_is_taken() -> None:
    assert check(replace(GOOD, load="90s")).load.seconds == 90.0


@pytest.mark.parametrize("text", ["", "-1", "1.5", "4294967296", "0x10", "99999999999", "abc"])
def test_a_seed_that_is_no_number_is_a_mistake(text: str) -> None:
    expected = f"--seed {text!r}: write a whole number from 0 to 4294967295"
    assert the_mistake(replace(GOOD, seed=text)) == expected


@pytest.mark.parametrize("text", ["0", "65536", "http"])
def test_a_port_that_is_none_is_a_mistake(text: str) -> None:
    assert the_mistake(replace(GOOD, metrics_port=text)).startswith(f"--metrics-port {text!r}: write a whole number")


def test_an_unknown_scenario_is_a_mistake_that_names_the_known_ones() -> None:
    expected = f"--scenario 'nope' is unknown: there are {', '.join(SCENARIOS)}"
    assert the_mistake(replace(GOOD, scenarios=("nope", "version_churn"))) == expected


def test_a_race_that_is_asked_for_brings_its_scenario_and_no_other_race() -> None:
    plan = check(replace(GOOD, races=("asset_deadlock",)))
    assert (plan.races, [scenario.name for scenario in plan.scenarios]) == (("asset_deadlock",), ["shared_outlets"])


def test_a_scenario_beside_a_race_is_asked_for_all_of_its_races() -> None:
    plan = check(replace(GOOD, races=("deadlock",), scenarios=("shared_outlets",)))
    assert plan.races == ("deadlock", "false_failed", "asset_deadlock")


def test_all_races_are_those_of_every_scenario() -> None:
    plan = check(replace(GOOD, races=("all",)))
    assert plan.scenarios == tuple(SCENARIOS.values())
    assert plan.races == races_of(plan.scenarios, faults=False)


def test_a_race_without_a_scenario_is_a_mistake_that_names_the_others() -> None:
    expected = "--race 'orphaned_runner' has no scenario: there are deadlock, duplicate_callback, "
    assert the_mistake(replace(GOOD, races=("orphaned_runner",))).startswith(expected)


def test_a_race_that_needs_faults_is_a_mistake_without_them() -> None:
    assert the_mistake(replace(GOOD, races=("stuck_task",))) == "--race 'stuck_task' needs faults: add --faults"
    assert check(replace(GOOD, races=("stuck_task",), faults="kill")).races == ("stuck_task",)


def test_dag_files_of_scenarios_on_request_are_left_out_of_other_runs() -> None:
    every = [name for scenario in SCENARIOS.values() for name in scenario.dag_files]
    assert cluster_settings(check(GOOD)).dag_files_left_out == every
    asked = cluster_settings(check(replace(GOOD, races=("asset_deadlock",)))).dag_files_left_out
    assert asked == [name for name in every if name != "asset_deadlock"]


def test_a_run_without_a_choice_has_one_api_server_process_and_twelve_hollow_workers() -> None:
    default, asked = (cluster_settings(check(replace(GOOD, races=races))) for races in ((), ("asset_deadlock",)))
    assert (default.api_workers, default.environment["AIRFLOW_STRESS_HOLLOW_WORKERS"]) == (1, "12")
    assert (asked.api_workers, asked.environment["AIRFLOW_STRESS_HOLLOW_WORKERS"]) == (3, "48")


def test_an_unknown_arm_is_a_mistake() -> None:
    assert "arm 'nope': say what it is" in the_mistake(replace(GOOD, arms=("stock", "nope")))


def test_an_unknown_fix_is_a_mistake_that_names_the_known_ones() -> None:
    mistake = the_mistake(replace(GOOD, arms=("stock", "mine=fixes:nope")))
    assert "nope" in mistake
    assert "deadline_claim" in mistake


def test_a_release_that_a_fix_doesn_t_know_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    unheard_of = Release("3.99.0", date(2040, 1, 1), None)
    monkeypatch.setattr(module, "check_release", lambda _version: unheard_of)
    mistake = the_mistake(replace(GOOD, airflow="3.99.0", arms=("stock", "mine=fixes:deadline_claim")))
    assert "deadline_claim doesn't know Airflow 3.99.0" in mistake


@pytest.mark.parametrize("release", ["2.10.4", "newest", ""])
def test_a_release_that_can_t_be_tested_is_a_mistake(release: str) -> None:
    assert the_mistake(replace(GOOD, airflow=release)).startswith(f"--airflow {release!r}: ")


def test_an_unknown_runtime_is_a_mistake() -> None:
    assert the_mistake(replace(GOOD, runtime="cloud")).startswith("--runtime 'cloud': there is local")


def test_an_unknown_kind_of_workers_is_a_mistake() -> None:
    assert the_mistake(replace(GOOD, workers="many")) == "--workers 'many': there are hollow and real"


def test_a_directory_with_something_in_it_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").touch()
    assert "is not empty: name a new directory" in the_mistake(replace(GOOD, out=str(tmp_path / "run")))


def test_an_empty_directory_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert check(replace(GOOD, out=str(tmp_path / "run"))).directory == tmp_path / "run"


def test_a_file_for_a_directory_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    assert the_mistake(replace(GOOD, out=str(tmp_path / "run"))).endswith("is not a directory")


def test_a_directory_below_a_file_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "can't be" in the_mistake(replace(GOOD, out=str(tmp_path / "file" / "run")))


def test_a_directory_of_the_kernel_is_a_mistake() -> None:
    assert "can't be written to" in the_mistake(replace(GOOD, out="/proc/run"))


@pytest.mark.parametrize("path", ["x" * 300, "~nobody-has-this-name/run"])
def test_a_path_that_can_t_be_is_a_mistake(path: str) -> None:
    assert the_mistake(replace(GOOD, out=path)).startswith(f"--out {path!r} can't be used: ")


def test_a_directory_that_can_t_be_written_to_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    assert f"because {tmp_path} can't be written to" in the_mistake(replace(GOOD, out=str(tmp_path / "run")))


def test_a_directory_that_may_not_be_looked_into_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    expected = f"--out '{tmp_path / 'run'}' can't be used: Permission denied"
    assert the_mistake(replace(GOOD, out=str(tmp_path / "run"))) == expected


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    everything = Options(
        scenarios=("nope",),
        arms=("stock", "bad=fixes:nope", "BAD"),
        runtime="cloud",
        airflow="2.0.0",
        budget="soon",
        load="heavy",
        seed="x",
        out=str(tmp_path / "file"),
        workers="many",
        metrics_port="99999",
    )
    told = [mistake.split(" ")[0].rstrip(":") for mistake in mistakes(everything)]
    assert told == [
        *("--scenario", "--airflow", "--arm", "--arm", "--runtime", "--workers"),
        *("--budget", "--load", "--seed", "--metrics-port", "--out"),
    ]


def test_a_taken_port_is_the_machine_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert any(f"port {port} of 127.0.0.1 is taken" in fault for fault in module.machine_faults(port))


def test_a_machine_without_memory_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(Path, "read_text", lambda _path: "MemTotal: 9 kB\nMemAvailable:    1048576 kB\n")
    assert module._memory() == ["only 1.0 GiB of memory are free, and the cluster needs 2.5: end something else first"]


def test_mistakes_and_faults_are_told_together_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_free", lambda _port: False)
    with pytest.raises(BadOptions) as caught:
        check(replace(GOOD, budget="x"))
    assert (len(caught.value.mistakes), len(caught.value.machine)) == (1, 1)


def turns(plan: Plan, count: int) -> str:
    return "".join(plan.arm_of(block).name[0] for block in range(count))


def test_every_turn_has_each_arm_once_in_an_order_of_its_own() -> None:
    three = replace(GOOD, arms=("stock", "proposed", "fixed"))
    order = turns(check(three), 60)
    rounds = [order[n : n + 3] for n in range(0, 60, 3)]
    assert all(sorted(each) == ["f", "p", "s"] for each in rounds)
    assert len(set(rounds)) >= 4


def test_the_order_of_the_arms_follows_from_the_seed() -> None:
    orders = {seed: turns(check(replace(GOOD, seed=seed)), 24) for seed in ("1", "2")}
    assert orders["1"] == turns(check(replace(GOOD, seed="1")), 24)
    assert orders["1"] != orders["2"]


def test_either_arm_comes_first_as_often_as_the_other() -> None:
    plan = check(replace(GOOD, seed="3"))
    first = sum(plan.arm_of(2 * turn).name == "stock" for turn in range(400))
    assert 150 < first < 250


def test_one_arm_takes_every_turn() -> None:
    assert turns(check(replace(GOOD, arms=("stock",))), 3) == "sss"


def test_components_are_preloaded_unless_a_cold_start_is_asked_for() -> None:
    assert not check(GOOD).cold_start
    assert check(dataclasses.replace(GOOD, cold_start=True)).cold_start
