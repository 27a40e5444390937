"""The races of a run that was asked for none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stress.races.choice import NoRaceLeft, without_request
from stress.races.race import Race
from stress.races.registry import RACES

from airflow_stress_fixes.fix import Fit, Fix  # isort: skip - importable once the registry is

DEFAULT = ("deadlock", "duplicate_callback", "out_of_order_frame")


def repaired(release: str, *, still: tuple[str, ...] = ()) -> list[Race]:
    """The races, in a registry that has looked at one more release: only the fixes `still` are needed there."""

    def looked(fix: Fix) -> Fix:
        return replace(fix, releases={**fix.releases, release: Fit.APPLIES if fix.name in still else Fit.NOT_NEEDED})

    renewed = {id(fix): looked(fix) for race in RACES.values() for fix in race.fixes}
    return [
        replace(
            race,
            fixes=tuple(renewed[id(fix)] for fix in race.fixes),
            also_fixes=tuple(renewed[id(fix)] for fix in race.also_fixes),
        )
        for race in RACES.values()
    ]


def test_the_default_release_can_have_the_three_races_that_the_project_began_with() -> None:
    choice = without_request(["3.2.1", "3.2.1"], faults=False)
    assert (choice.races, choice.left_out) == (DEFAULT, {})
    assert "Airflow 3.2.1 can have" in choice.why


@pytest.mark.parametrize("code", [None, "3.9.0"])
def test_code_that_the_registry_does_not_know_can_have_all_races_of_the_default(code: str | None) -> None:
    assert without_request([code, code], faults=False).races == DEFAULT


def test_a_race_that_is_repaired_on_every_arm_is_left_out_with_its_scenario() -> None:
    choice = without_request(["3.3.2", "3.3.2"], faults=False)
    assert choice.races == ("duplicate_callback",)
    assert [scenario.name for scenario in choice.scenarios] == ["deadline_miss"]
    assert set(choice.left_out) == {"deadlock", "out_of_order_frame"}
    assert "Airflow 3.3.2" in choice.left_out["deadlock"]


@pytest.mark.parametrize("order", [("3.2.1", "3.3.2"), ("3.3.2", "3.2.1"), ("3.3.2", None)])
def test_a_race_that_one_arm_can_have_is_judged(order: tuple[str | None, ...]) -> None:
    assert without_request(order, faults=False).races == DEFAULT


def test_without_a_default_race_the_other_races_that_a_load_provokes_are_judged() -> None:
    still = ("callback_claim", "trigger_event_claim", "comms_end")
    choice = without_request(["3.9.0"], faults=False, known=repaired("3.9.0", still=still))
    # comms_end's race has no scenario; callback_claim's cause is provoked by the scenario on request alone.
    assert choice.races == ("duplicate_callback", "stale_trigger_event")
    assert "deadline_miss" not in [scenario.name for scenario in choice.scenarios]
    assert "sync_deadline_miss" in [scenario.name for scenario in choice.scenarios]
    assert set(choice.left_out) == {"deadlock", "out_of_order_frame"}


def test_without_any_race_the_error_names_the_reproducers() -> None:
    with pytest.raises(NoRaceLeft, match=r"stress repro all --airflow 3\.9\.0"):
        without_request(["3.9.0"], faults=False, known=repaired("3.9.0", still=("comms_end",)))


def test_races_that_need_faults_come_last_and_only_with_them() -> None:
    races = without_request(["3.2.1"], faults=True).races
    assert races[:3] == DEFAULT
    assert set(races[3:]) == {"lost_callback", "stuck_task"}
