"""The load of `stress rc`: which races it asks for, what a stored run says of each, and what that decides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stress.arms.releases import Release, check
from stress.matrix import load, markdown, page
from stress.matrix.cells import Cell, State, Tried, counted, state_of
from stress.matrix.comparison import Comparison, cost_table, document
from stress.matrix.load import LoadStage
from stress.matrix.status import LOAD, Row, Status, UnderLoad, row
from stress.plan import BadOptions
from stress.results import ArmCount, CostChange, RaceState, RaceVerdict, Results, RunState, Verdict
from stress.run.lifecycle import Run

pytestmark = pytest.mark.usefixtures("fit_machine")

SEEN, ZERO = counted("way", 3, 3), counted("way", 0, 20)
UNKNOWN, BROKEN = Tried("way", State.NOT_EXERCISED, reason="why"), Tried("way", State.FAILED, reason="why")
NO_OPPORTUNITY = Tried(LOAD, State.NOT_EXERCISED, reason="none")


def under(previous: int | None, this: int | None, *, removed: bool = False) -> UnderLoad:
    """So many incidents of 100 opportunities; None without an opportunity."""
    old, new = (NO_OPPORTUNITY if number is None else counted(LOAD, number, 100) for number in (previous, this))
    return UnderLoad(old, new, removed)


def compared(previous: Tried, this: Tried, under_load: UnderLoad | None) -> Row:
    old, new = (Cell("race", "1", state_of([each]), (each,)) for each in (previous, this))
    return row("race", (), "", old, new, under_load)


@pytest.mark.parametrize(
    ("previous", "this", "under_load", "expected"),
    [
        (SEEN, SEEN, None, Status.REMAINS),
        (ZERO, SEEN, None, Status.NEW),
        (UNKNOWN, SEEN, None, Status.OCCURS),
        (SEEN, ZERO, None, Status.ADDRESSED),
        (ZERO, ZERO, None, Status.ABSENT),
        (UNKNOWN, ZERO, None, Status.ABSENT),
        (SEEN, UNKNOWN, None, Status.NOT_EXERCISED),
        (ZERO, BROKEN, None, Status.NOT_EXERCISED),
        (SEEN, ZERO, under(5, 4), Status.REMAINS),
        (ZERO, ZERO, under(0, 4), Status.OCCURS),
        (ZERO, ZERO, under(5, 4), Status.REMAINS),
        (SEEN, ZERO, under(2, 0), Status.ADDRESSED),
        (SEEN, ZERO, under(None, None), Status.ADDRESSED),
        (ZERO, ZERO, under(2, 0), Status.NOT_EXERCISED),
        (ZERO, ZERO, under(2, 0, removed=True), Status.ADDRESSED),
        (SEEN, UNKNOWN, under(2, 0), Status.NOT_EXERCISED),
        (SEEN, UNKNOWN, under(20, 0, removed=True), Status.ADDRESSED),
        (SEEN, BROKEN, under(20, 0, removed=True), Status.NOT_EXERCISED),
        (UNKNOWN, UNKNOWN, under(None, None), Status.NOT_EXERCISED),
        (UNKNOWN, UNKNOWN, under(0, 0), Status.ABSENT),
    ],
)
def test_reproducer_and_load_together(
    previous: Tried, this: Tried, under_load: UnderLoad | None, expected: Status
) -> None:
    assert compared(previous, this, under_load).status is expected


def test_a_run_under_load_that_failed_hides_no_answer_of_a_reproducer() -> None:
    failed = Tried(LOAD, State.FAILED, reason="no space left")
    found = compared(SEEN, ZERO, UnderLoad(failed, failed, removed=False))
    assert (found.previous, found.this, found.status) == (State.SEEN, State.NOT_SEEN, Status.ADDRESSED)


def releases(*versions: str) -> list[Release]:
    return [check(version) for version in versions]


def test_a_race_that_neither_release_can_have_is_not_put_under_load() -> None:
    races = ("deadlock", "out_of_order_frame", "lost_callback")
    assert load.races_under_load(races, releases("3.3.1", "3.3.2")) == ()
    assert load.races_under_load(races, releases("3.2.1", "3.3.2")) == ("deadlock", "out_of_order_frame")


def test_a_release_that_was_not_examined_can_have_every_race() -> None:
    later = Release("3.9.9", check("3.3.2").day, None)
    assert load.races_under_load(("deadlock", "lost_callback"), [later]) == ("deadlock",)


def count(incidents: Mapping[str, int], opportunities: int) -> ArmCount:
    return ArmCount(sum(incidents.values()), opportunities, 60.0, None, incidents)


def verdict(race: str, state: RaceState, previous: ArmCount, this: ArmCount) -> RaceVerdict:
    arms = {"previous": previous, "this": this}
    return RaceVerdict(race, state, "a reason", None, None, None, "previous", "this", arms)


SLOWER = CostChange(
    "cpu", "s", {"previous": 49.2, "this": 64.6}, {"previous": 5, "this": 4}, 0.312, 0.094, 0.571, "worse", margin=0.25
)


def results(state: RunState, *verdicts: RaceVerdict, errors: tuple[str, ...] = ()) -> Results:
    races = {each.race: each for each in verdicts}
    return Results("run", 1, state, Verdict.UNKNOWN, (), races, {}, (), errors=errors, costs=(SLOWER,))


@pytest.fixture
def stage(tmp_path: Path) -> LoadStage:
    """A run under load that can be started."""
    previous, this = releases("3.2.1", "3.3.2")
    return load.stage(tmp_path, previous, this, ("deadlock", "duplicate_callback"), "5m", "9555")


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Results]:
    """Results of runs that end at once."""
    given: list[Results] = []

    class FakeRun(Run):
        def execute(self) -> int:
            return 0

    monkeypatch.setattr(load, "Run", FakeRun)
    monkeypatch.setattr(load, "analyse", lambda _directory: (None, given[0]))
    return given


def test_the_two_releases_are_the_arms_without_fixes(stage: LoadStage, tmp_path: Path) -> None:
    assert [(arm.name, arm.airflow.version, arm.fixes) for arm in stage.plan.arms] == [
        ("previous", "3.2.1", ()),
        ("this", "3.3.2", ()),
    ]
    assert stage.plan.races == ("deadlock", "duplicate_callback")
    assert stage.plan.directory == tmp_path / "runs" / "load-1"


def test_a_run_under_load_is_stored_and_used_again(stage: LoadStage, ended: list[Results]) -> None:
    ended.append(
        results(
            RunState.DONE,
            verdict("deadlock", RaceState.UNKNOWN, count({}, 90), count({"x": 2}, 95)),
            verdict("duplicate_callback", RaceState.REMOVED, count({"y": 9}, 40), count({}, 41)),
        )
    )
    found = stage.run()
    assert stage.stored() == found
    deadlock, duplicate = found.races
    assert (str(deadlock.previous), str(deadlock.this)) == ("0 of 90 (< 3.3 %)", "2 of 95")
    assert (str(duplicate.previous), duplicate.this.state, duplicate.removed) == ("9 of 40", State.NOT_SEEN, True)
    assert found.run == "runs/load-1"
    assert found.costs == (SLOWER,)


def test_every_form_of_the_comparison_shows_the_costs_under_load() -> None:
    found = Comparison("3.4.0b2", "3.3.2", (), {}, 20, "0.1", "stress rc", load_run="runs/load-1", load_costs=(SLOWER,))
    header = ["cost", "change", "3.3.2", "3.4.0b2", "99 % interval"]
    assert cost_table(found) == [header, ["cpu, s", "+31.2 %", "49.2", "64.6", "+9.4 to +57.1 %"]]
    assert "| cpu, s | +31.2 % | 49.2 | 64.6 | +9.4 to +57.1 % |" in markdown.render(found, {})
    assert '<td class="n">+9.4 to +57.1 %</td>' in page.render(found, {})
    assert [cost["measure"] for cost in document(found)["load"]["costs"]] == ["cpu"]


def test_without_a_run_under_load_there_is_no_table_of_costs() -> None:
    found = Comparison("3.4.0b2", "3.3.2", (), {}, 20, "0.1", "stress rc")
    assert cost_table(found) == []
    assert "Costs" not in markdown.render(found, {}) + page.render(found, {})


def test_a_deadlock_that_another_race_counts_is_not_one_of_deadlock(stage: LoadStage, ended: list[Results]) -> None:
    causes = {"fail_fast": 3, "run_marking": 2, "asset_queue": 1}
    both = count({**causes, "timeout_sweep": 1}, 90), count(causes, 95)
    ended.append(results(RunState.DONE, verdict("deadlock", RaceState.REDUCED, *both)))
    (deadlock,) = stage.run().races
    assert (str(deadlock.previous), deadlock.this.state) == ("1 of 90", State.NOT_SEEN)
    assert deadlock.reason == "a reason (the table counts 12 of these incidents in the row of another race)"


def test_a_race_without_an_opportunity_was_not_exercised(stage: LoadStage, ended: list[Results]) -> None:
    ended.append(results(RunState.DONE, verdict("deadlock", RaceState.UNKNOWN, count({}, 0), count({}, 0))))
    (deadlock,) = stage.run().races
    assert (deadlock.this.state, deadlock.this.reason) == (
        State.NOT_EXERCISED,
        "under load there were no opportunities",
    )


def test_a_failed_run_is_no_answer_and_is_run_again(stage: LoadStage, ended: list[Results]) -> None:
    ended.append(results(RunState.FAILED, errors=("no space left",)))
    found = stage.run()
    assert found.error == "no space left"
    assert {race.this.state for race in found.races} == {State.FAILED}
    assert stage.stored() is None


def test_an_interrupted_run_keeps_nothing(stage: LoadStage, ended: list[Results], tmp_path: Path) -> None:
    ended.append(results(RunState.INTERRUPTED))
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    assert not (tmp_path / "load.json").exists()


def test_a_new_attempt_has_a_directory_of_its_own(stage: LoadStage, tmp_path: Path) -> None:
    stage.plan.directory.mkdir(parents=True)
    previous, this = releases("3.2.1", "3.3.2")
    again = load.stage(tmp_path, previous, this, ("deadlock",), "5m", None)
    assert again.plan.directory.name == "load-2"


def test_bad_options_of_the_run_are_reported(tmp_path: Path) -> None:
    previous, this = releases("3.2.1", "3.3.2")
    with pytest.raises(BadOptions, match="--metrics-port 'x'"):
        load.stage(tmp_path, previous, this, ("deadlock",), "5m", "x")
    assert list(tmp_path.iterdir()) == []
