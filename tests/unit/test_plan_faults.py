"""The plan of a run with faults: what is broken and when, and every mistake in the request for it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from stress.faults.recovery import CONFIG as RECOVERY
from stress.load.settings import LoadSettings
from stress.plan import Options, check
from tests.unit.planned import mistakes, the_mistake

GOOD = Options(seed="7")

pytestmark = pytest.mark.usefixtures("quiet_machine")


def test_without_faults_nothing_is_broken_and_airflow_is_left_as_it_is() -> None:
    plan = check(GOOD)
    assert (plan.faults, plan.faults_of(0)) == ((), ())
    assert not plan.config.keys() & RECOVERY.keys()
    assert plan.load == LoadSettings(users=plan.load.users)


def test_faults_lengthen_the_load_and_shorten_airflow_s_own_recovery_for_every_arm() -> None:
    plan = check(replace(GOOD, faults="kill,pause"))
    assert plan.faults == ("kill", "pause")
    assert plan.load.seconds == 60
    assert plan.config.items() >= RECOVERY.items()


def test_a_length_that_is_asked_for_is_kept_with_faults() -> None:
    assert check(replace(GOOD, faults="kill", load="30s")).load.seconds == 30


@pytest.mark.parametrize("load", [None, "20s", "45s", "5m"])
def test_deadlines_and_cancellations_are_spread_over_the_load_with_faults(load: str | None) -> None:
    settings = check(replace(GOOD, faults="kill", load=load)).load
    last_batch_s = settings.deadline_first_s + (settings.deadline_batches - 1) * settings.deadline_batch_period_s
    assert settings.seconds - 2 * settings.deadline_batch_period_s < last_batch_s < settings.seconds - 5
    last_burst_s = settings.cancel_first_s + (settings.cancel_bursts - 1) * settings.cancel_period_s
    assert last_burst_s < settings.seconds - settings.cancel_period_s / 2


def test_all_faults_are_those_that_the_runtime_can() -> None:
    assert check(replace(GOOD, faults="all")).faults == ("kill", "restart", "pause", "postgres", "sessions")


def test_the_arms_of_a_turn_meet_the_same_faults_and_the_next_turn_others() -> None:
    plan = check(replace(GOOD, faults="kill,pause"))
    assert plan.faults_of(0) == plan.faults_of(1) != plan.faults_of(2) == plan.faults_of(3)
    again = check(replace(GOOD, faults="pause,kill"))
    assert [again.faults_of(block) for block in range(4)] == [plan.faults_of(block) for block in range(4)]
    other = check(replace(GOOD, faults="kill,pause", seed="8"))
    assert other.faults_of(0) != plan.faults_of(0)


def test_a_fault_that_is_asked_for_twice_is_one() -> None:
    assert check(replace(GOOD, faults="kill, pause,kill")).faults == ("kill", "pause")


@pytest.mark.parametrize("faults", ["earthquake", "", "kill,", "Kill", "all,kill"])
def test_an_unknown_fault_is_told_with_those_that_there_are(faults: str) -> None:
    assert re.search(
        r"^--faults '\w*' is unknown: there are kill, .*sessions; or all$", the_mistake(Options(faults=faults))
    )


def test_a_fault_that_the_runtime_can_t_is_told_with_those_that_can() -> None:
    mistake = the_mistake(replace(GOOD, faults="slow"))
    assert mistake == "--faults 'slow' is impossible on the local runtime: it needs compose"


def test_a_load_that_is_too_short_for_the_faults_is_told() -> None:
    mistake = the_mistake(replace(GOOD, faults="all", load="20s"))
    assert mistake == "--load '20s' is too short for --faults: they need at least 21s"
    assert check(replace(GOOD, faults="all", load="21s")).faults_of(0)
    assert check(replace(GOOD, load="5s")).load.seconds == 5


def test_every_mistake_in_faults_is_told_at_once() -> None:
    found = mistakes(Options(faults="slow,earthquake,kill", workers="none"))
    assert [mistake.split(" ")[0] for mistake in found] == ["--workers", "--faults", "--faults"]
