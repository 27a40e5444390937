"""The commands as a user types them: what they print, and the exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stress import commands, events, manifest, plan
from stress.cli import main
from stress.results import RunState
from tests.timing import cpu_s_of_children
from tests.unit.histories import Block, callback, deadlock, run, write


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory without runs."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def updates(block: Block, count: int = 1000) -> Block:
    return block.add(1, events.ApiAnswered(operation="success", code=204, count=count, seconds=1.0, buckets=[0] * 13))


@pytest.fixture
def removed(tmp_path: Path) -> Path:
    """A run's directory: deadlocks on stock, none on fixed."""
    blocks = []
    for number, arm in enumerate(("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")):
        block = updates(Block(arm, number))
        for second in range(10 if arm == "stock" else 0):
            block.add(second, deadlock(second))
        blocks.append(block.end(tasks=600))
    return write(tmp_path / "removed", run(*blocks, races=("deadlock",)))


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The directory of a run whose harness was killed in its second block, in the middle of a write."""
    first = updates(Block("stock", 0)).add(5, deadlock(5)).end()
    second = updates(Block("fixed", 1)).add(20, callback("d", 1))
    directory = write(tmp_path / "killed", run(first, second), RunState.RUNNING, pid=os.getpid(), started=-1)
    with (directory / "history.jsonl").open("ab") as file:
        file.write(b'{"seq":99,"t":17952')
    return directory


# -- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["list", "--no-such-option"],
        ["explore", "all", "--budget"],
        ["analyze", "a", "surplus"],
        ["analyze"],
        ["compare", "a"],
        ["list"],
    ],
    ids=" ".join,
)
def test_words_that_are_no_command_are_bad_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 64
    assert capsys.readouterr().err.startswith("stress: ")


def test_the_help_that_is_pointed_to_is_the_command_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explore", "all", "--budget"])
    assert capsys.readouterr().err == "stress: --budget: its value is missing\nTry 'stress explore --help'.\n"


@pytest.mark.usefixtures("fit_machine")
def test_bad_options_of_a_run_are_told_all_at_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--scenario", "nope", "--budget", "soon", "--seed", "x", "--workers", "many", "--arm", "nope"]
    assert main(words) == 64
    told = capsys.readouterr()
    assert [line.split(" ")[1].rstrip(":") for line in told.err.splitlines()] == [
        *("--scenario", "--arm", "--workers", "--budget", "--seed"),
    ]
    assert told.out == ""
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scenario", "nosuch", "--budget", "-1m"], ["--scenario 'nosuch'", "--budget '-1m'"]),
        (["--budget", "--seed", "x"], ["--budget: its value is missing", "--seed 'x'"]),
        (["--bogus", "surplus", "--budget=-1m"], ["no option or argument --bogus, surplus", "--budget '-1m'"]),
        (["--budge", "3m", "--seed", "-1"], ["no option or argument --budge, 3m", "--seed '-1'"]),
    ],
)
@pytest.mark.usefixtures("fit_machine")
def test_mistakes_that_argparse_would_stop_at_hide_no_others(
    words: list[str], told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words]) == 64
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(told)
    for line, part in zip(lines, told, strict=True):
        assert part in line


def test_colour_is_off_in_a_pipe_and_forced_where_it_is_wanted(
    removed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["analyze", str(removed)])
    assert "\x1b[3" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    main(["analyze", str(removed)])
    assert "\x1b[" not in capsys.readouterr().out


def test_a_fault_of_the_machine_is_not_a_bad_argument(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "machine_faults", lambda _port: ["port 9108 of 127.0.0.1 is taken"])
    assert main(["run"]) == 3
    assert capsys.readouterr().err == "stress: port 9108 of 127.0.0.1 is taken\n"
    assert list(here.iterdir()) == []


def test_bad_arguments_are_told_within_three_seconds_of_cpu(here: Path) -> None:
    before = cpu_s_of_children()
    done = subprocess.run(
        [sys.executable, "-m", "stress", "run", "--budget", "soon", "--arm", "nope"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=here,
    )
    assert done.returncode == 64
    assert cpu_s_of_children() - before < 3


# -- analyze and report ----------------------------------------------------------------------------------------------


def test_a_run_that_removed_its_race_is_analysed_as_success(removed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(removed)]) == 0
    assert json.loads((removed / "results.json").read_text())["verdict"] == "pass"
    assert "removed" in capsys.readouterr().out


def test_analysing_writes_nothing_but_the_results(removed: Path) -> None:
    main(["analyze", str(removed)])
    assert {path.name for path in removed.iterdir()} == {"history.jsonl", "manifest.json", "results.json"}


def test_analysing_twice_gives_the_same_results(removed: Path) -> None:
    main(["analyze", str(removed)])
    first = (removed / "results.json").read_text()
    main(["analyze", str(removed)])
    assert (removed / "results.json").read_text() == first


def test_the_reports_are_written_again(removed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(removed)]) == 0
    written = {path.name for path in removed.iterdir()}
    assert written >= {"results.json", "report.html", "junit.xml", "summary.md"}
    assert f"report: {removed / 'report.html'}" in capsys.readouterr().out


def test_a_race_that_remains_is_exit_code_1(tmp_path: Path) -> None:
    blocks = [updates(Block(arm, n)).add(5, deadlock(5)).end() for n, arm in enumerate(("stock", "fixed"))]
    assert main(["analyze", str(write(tmp_path / "run", run(*blocks, races=("deadlock",))))]) == 1


def test_too_little_evidence_is_exit_code_2(tmp_path: Path) -> None:
    blocks = [updates(Block(arm, n)).end() for n, arm in enumerate(("stock", "fixed"))]
    assert main(["analyze", str(write(tmp_path / "run", run(*blocks)))]) == 2


@pytest.mark.parametrize("command", ["analyze", "report"])
def test_a_killed_run_is_interrupted_and_unknown(
    killed: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(killed)]) == 2
    results = json.loads((killed / "results.json").read_text())
    assert (results["state"], results["verdict"]) == ("interrupted", "unknown")
    assert {race["verdict"] for race in results["races"].values()} == {"unknown"}
    assert manifest.load(killed).state == "interrupted"
    told = capsys.readouterr().out
    assert "interrupted: the harness was killed\n" in told
    assert "is torn" in told


def test_what_a_killed_run_had_seen_is_counted(killed: Path) -> None:
    main(["analyze", str(killed)])
    races = json.loads((killed / "results.json").read_text())["races"]
    assert races["deadlock"]["arms"]["stock"]["incidents"] == 1


def test_a_killed_run_is_analysed_alike_the_second_time(killed: Path) -> None:
    main(["analyze", str(killed)])
    first = (killed / "results.json").read_text()
    main(["analyze", str(killed)])
    assert (killed / "results.json").read_text() == first


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pid, started = manifest.own_identity()
    directory = write(tmp_path / "run", run(Block()), RunState.RUNNING, pid=pid, started=started)
    assert main(["analyze", str(directory)]) == 3
    assert "is still running: wait for its end, or interrupt it" in capsys.readouterr().err
    assert manifest.load(directory).state == "running"


@pytest.mark.parametrize("command", ["analyze", "report"])
def test_a_directory_without_a_run_is_a_bad_argument(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(tmp_path / "nothing")]) == 64
    expected = f"stress: {tmp_path / 'nothing'} is not the directory of a run: it has no manifest.json\n"
    assert capsys.readouterr().err == expected


def test_a_file_is_not_the_directory_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["analyze", str(tmp_path / "file")]) == 64
    assert capsys.readouterr().err.startswith("stress: ")


def test_a_manifest_that_can_t_be_read_is_told(removed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (removed / "manifest.json").write_text("{")
    assert main(["analyze", str(removed)]) == 3
    assert capsys.readouterr().err.startswith(f"stress: the manifest in {removed} cannot be read: ")


def test_a_run_without_its_history_is_told(removed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (removed / "history.jsonl").unlink()
    assert main(["analyze", str(removed)]) == 3
    assert "it has no history.jsonl" in capsys.readouterr().err


def test_a_history_without_a_plan_is_told(removed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (removed / "history.jsonl").write_bytes(b"")
    assert main(["analyze", str(removed)]) == 3
    assert "does not begin with a plan" in capsys.readouterr().err


# -- the others ------------------------------------------------------------------------------------------------------


def test_two_runs_are_shown_side_by_side(removed: Path, killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(removed), str(killed)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["race", "arm", "20270115-080000-abcdef", "20270115-080000-abcdef"]
    assert ["stock", "50", "of", "8,000", "(600/h)", "1", "of", "1,000", "(60/h)"] in lines
    assert ["task", "instances/s", "stock", "10.0", "0.0"] in lines
    assert ["throughput,", "change", "~", "(+0.0", "to", "+0.0", "%)", "not", "measured"] in lines


def test_two_runs_as_json_have_the_keys_of_their_results(
    removed: Path, killed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(removed), str(killed), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["notes"] == []
    assert [run["verdict"] for run in document["runs"]] == ["pass", "unknown"]
    stock = [run["races"]["deadlock"]["arms"]["stock"] for run in document["runs"]]
    assert [(arm["incidents"], arm["opportunities"]) for arm in stock] == [(50, 8000), (1, 1000)]
    main(["analyze", str(removed)])
    whole = json.loads((removed / "results.json").read_text())
    assert document["runs"][0] == {key: whole[key] for key in document["runs"][0]}


def test_comparing_with_what_is_no_run_is_a_bad_argument(removed: Path, tmp_path: Path) -> None:
    assert main(["compare", str(removed), str(tmp_path / "nothing")]) == 64


def test_arms_that_differ_are_noted(removed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write(tmp_path / "other", run(Block().end(), fixes={"stock": [], "fixed": ["deadline_claim"]}))
    main(["compare", str(removed), str(other)])
    assert "note: the arms differ: fixed 3.2.1 and fixed 3.2.1, or their fixes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("scenarios", ["version_churn", "deadline_miss", "trigger_cancel"]),
        ("fixes", ["triggerer_comms", "deadline_claim", "callback_trigger_owner", "state_update_lock_scope"]),
        ("releases", ["3.1.8", "3.2.1 (default)", "3.3.2", "committed lock"]),
        ("races", ["deadlock", "duplicate_callback", "out_of_order_frame", "two_triggerers"]),
        ("faults", ["kill", "cutoff", "local, compose", "never lost, never twice", "never stuck"]),
    ],
)
def test_what_there_is_is_listed(what: str, named: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what]) == 0
    told = capsys.readouterr().out
    assert [name for name in named if name not in told] == []


def test_what_there_is_not_can_t_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "wishes"]) == 64
    expected = (
        "stress: 'wishes' is not a list: choose from scenarios, fixes, releases, races, faults, pairs, reproducers\n"
    )
    assert capsys.readouterr().err == expected


@pytest.mark.usefixtures("fit_machine")
def test_a_machine_that_lacks_nothing_is_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(9 << 40, 0, 9 << 40))
    assert main(["doctor"]) == 0
    assert "A run can start." in capsys.readouterr().out


def test_a_machine_that_lacks_something_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "machine_faults", lambda _port: ["no memory"])
    assert main(["doctor"]) == 3
    assert "FAIL no memory" in capsys.readouterr().out


def test_a_table_s_columns_are_as_wide_as_their_widest_cell() -> None:
    assert commands._table([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc  d"


def test_a_reader_that_has_seen_enough_causes_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "stress", "list", "releases"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""
