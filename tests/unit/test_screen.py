"""What a run shows: plain lines for logs, and a live view that says the same."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from stress.arms import fixes
from stress.judge.verdicts import judge_all
from stress.plan import Options, Plan
from stress.plan import check as check_plan
from stress.races.registry import check
from stress.results import BlockCheck
from stress.screen import LiveScreen, PlainScreen, choose
from tests.unit.histories import Block, deadlock

pytestmark = pytest.mark.usefixtures("fit_machine")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan of the default arms."""
    return check_plan(Options(seed="7", budget="10m", out=str(tmp_path / "run")))


@pytest.fixture
def found() -> list[BlockCheck]:
    """A block's counts."""
    return [check("deadlock", Block().add(5, deadlock(5)).end(tasks=40).view())]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the screen sees, as a list of one."""
    now = [100.0]
    monkeypatch.setattr("stress.screen.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed, without the times."""
    return [line.partition("] ")[2] for line in capsys.readouterr().out.splitlines()]


def test_plain_lines_begin_with_the_seconds_since_the_start(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    screen = PlainScreen()
    clock[0] += 12.34
    screen.progress("migrating")
    assert capsys.readouterr().out == "[  12.3 s] migrating\n"


def test_the_plan_is_told_first(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    PlainScreen().begin(plan)
    ours = sum(not fact.proposed for fact in fixes.facts())
    assert lines(capsys) == [
        f"run {plan.run_id}: stock (3.2.1, 0 fixes) against fixed (3.2.1, {ours} fixes)",
        "races deadlock, duplicate_callback, out_of_order_frame; seed 7; budget 10 min; "
        "metrics on http://127.0.0.1:9108/metrics",
        "without --race: the races of the default scenarios that Airflow 3.2.1 can have, by the registry",
    ]


def test_races_that_the_release_can_not_have_are_named_first(capsys: pytest.CaptureFixture[str]) -> None:
    PlainScreen().begin(check_plan(Options(airflow="3.3.2")))
    *_, why, deadlock, frames = lines(capsys)
    assert "Airflow 3.3.2 can have" in why
    assert deadlock.startswith("not judged: deadlock: no arm can have it, by the registry (Airflow 3.3.2")
    assert frames.startswith("not judged: out_of_order_frame: ")


def test_a_phase_is_told_with_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    screen = PlainScreen()
    screen.block(3, "fixed")
    screen.phase("load")
    assert lines(capsys) == ["block 3 (fixed): load"]


def test_counts_are_told_with_their_denominator(found: list[BlockCheck], capsys: pytest.CaptureFixture[str]) -> None:
    screen = PlainScreen()
    screen.block(0, "stock")
    screen.checked(found, final=True)
    assert lines(capsys) == ["block 0 (stock): total: deadlock 1 of 40 state updates"]


def test_counts_of_a_block_that_runs_are_not_told_all_the_time(
    clock: list[float], found: list[BlockCheck], capsys: pytest.CaptureFixture[str]
) -> None:
    screen = PlainScreen()
    for _ in range(20):
        clock[0] += 2.0
        screen.checked(found, final=False)
    assert len(lines(capsys)) == 3


def test_the_end_of_a_block_is_always_told(
    clock: list[float], found: list[BlockCheck], capsys: pytest.CaptureFixture[str]
) -> None:
    screen = PlainScreen()
    screen.checked(found, final=False)
    clock[0] += 0.1
    screen.checked(found, final=True)
    assert len(lines(capsys)) == 2


def test_what_is_decided_is_told(found: list[BlockCheck], capsys: pytest.CaptureFixture[str]) -> None:
    PlainScreen().verdicts(judge_all(found, ("deadlock",), ("stock", "fixed")))
    (line,) = lines(capsys)
    assert line.startswith("so far: deadlock undecided (1 of 40 on stock, 0 of 0 on fixed")


@pytest.mark.parametrize(
    ("elapsed_s", "shown"), [(0, "0:00"), (45, "0:45"), (59.7, "0:59"), (100, "1:40"), (3725, "1:02:05")]
)
def test_the_live_clock_cuts_seconds_and_rounds_no_minute_up(
    plan: Plan, clock: list[float], elapsed_s: float, shown: str
) -> None:
    screen = LiveScreen()
    screen._plan = plan
    clock[0] += elapsed_s
    assert rendered(screen).split()[0] == shown


def test_a_warning_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    PlainScreen().warn("receipts is blind")
    assert lines(capsys) == ["warning: receipts is blind"]


def test_an_error_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    PlainScreen().error("the disk is full")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "stress: the disk is full\n")


def test_plain_lines_hold_no_control_characters(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    screen = PlainScreen()
    screen.begin(plan)
    screen.end()
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("terminal", "tui", "kind"),
    [(True, True, LiveScreen), (True, False, PlainScreen), (False, True, PlainScreen), (False, False, PlainScreen)],
)
def test_the_live_view_is_for_terminals_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, tui: bool, kind: type
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert type(choose(tui=tui)) is kind


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert type(choose(tui=True)) is PlainScreen


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_the_live_view_is_coloured_unless_colour_is_unwanted(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, variables: dict[str, str], coloured: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    screen = LiveScreen()
    screen._plan = plan
    screen.warn("receipts is blind")
    with screen._console.capture() as capture:
        screen._console.print(screen._render())
    assert ("\x1b[33m" in capture.get()) is coloured


def rendered(screen: LiveScreen) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(screen._render())
    return capture.get()


def test_the_live_view_adds_up_blocks_and_the_present_one(plan: Plan, found: list[BlockCheck]) -> None:
    screen = LiveScreen()
    screen._plan = plan
    screen.checked(found, final=True)
    screen.checked(found, final=False)
    assert "2 of 80" in rendered(screen)


def test_the_live_view_does_not_count_a_block_twice_at_its_end(plan: Plan, found: list[BlockCheck]) -> None:
    screen = LiveScreen()
    screen._plan = plan
    screen.checked(found, final=False)
    screen.checked(found, final=True)
    assert "1 of 40" in rendered(screen)


def test_the_live_view_has_what_is_decided_and_the_last_warnings(plan: Plan, found: list[BlockCheck]) -> None:
    screen = LiveScreen()
    screen._plan = plan
    screen.verdicts(judge_all(found, ("deadlock",), ("stock", "fixed")))
    for number in range(9):
        screen.warn(f"warning {number}")
    shown = rendered(screen)
    assert "undecided" in shown
    assert [number for number in range(9) if f"warning {number}" in shown] == [5, 6, 7, 8]


def test_the_live_view_shows_nothing_before_the_plan() -> None:
    assert rendered(LiveScreen()).strip() == ""
