"""`stress judge`: experiments in, verdicts out, as a run would have been judged."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration import GENERATORS, experiment_of, false_removed, may_be_removed, orders, power
from stress.judge import command
from stress.judge.experiment import BadExperiments, Experiment, answer, judge_experiment, read
from stress.judge.verdicts import decided, judge
from stress.results import RaceState


def line(*blocks: tuple[str, dict[str, list[int]]], races: tuple[str, ...] = ("x",), **more: object) -> bytes:
    made = [{"arm": arm, "counts": counts} for arm, counts in blocks]
    return json.dumps({"control": "a", "under_test": "b", "races": races, "blocks": made, **more}).encode()


def clear(blocks: int, seen: int = 3) -> list[tuple[str, dict[str, list[int]]]]:
    """Blocks in turns; the control shows the race in each."""
    return [("ab"[n % 2], {"x": [seen * (1 - n % 2), 100]}) for n in range(blocks)]


def verdict_of(experiment: bytes) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(answer(read([experiment])[0]))
    return parsed


def test_the_contract_s_line() -> None:
    assert verdict_of(line(*clear(9))) == {
        "verdict": "pass",
        "races": {"x": {"verdict": "removed", "p_value": pytest.approx(1 / 126), "decided_after": 9}},
    }


def test_blocks_after_the_stop_are_not_looked_at() -> None:
    late = [*clear(12), ("b", {"x": [50, 100]})]
    assert verdict_of(line(*late))["verdict"] == "pass"


def test_an_undecided_experiment_has_no_decision() -> None:
    found = verdict_of(line(*clear(8)))
    assert found["verdict"] == "unknown"
    assert found["races"]["x"]["decided_after"] is None  # type: ignore[index]


def test_blocks_of_other_arms_are_left_out() -> None:
    mixed = [each for block in clear(9) for each in (block, ("c", {"x": [9, 9]}))]
    assert verdict_of(line(*mixed))["verdict"] == "pass"


def test_a_blind_block_is_set_aside() -> None:
    parsed = json.loads(line(*clear(10)))
    parsed["blocks"][3]["blind"] = ["the log moved"]
    found = verdict_of(json.dumps(parsed).encode())
    assert found["races"]["x"] == {  # type: ignore[index]
        "verdict": "removed",
        "p_value": pytest.approx(1 / 126),
        "decided_after": 10,
    }


def test_every_mistake_is_named_at_once_and_nothing_is_judged() -> None:
    bad = [
        b"{",
        line(*clear(9), races=()),
        line(("a", {"y": [1, 2]})),
        line(("a", {"x": [-1, 2]})),
        json.dumps({"control": "a", "under_test": "a", "races": ["x"], "blocks": []}).encode(),
    ]
    with pytest.raises(BadExperiments) as caught:
        read([line(*clear(9)), *bad, b"\n"])
    assert [mistake.split(":")[0] for mistake in caught.value.mistakes] == [f"line {n}" for n in (2, 3, 4, 5, 6)]


def test_the_command_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line(*clear(9)) + b"\n" + line(*clear(2)))))
    assert command.judge("-") == 0
    assert [json.loads(text)["verdict"] for text in capsys.readouterr().out.splitlines()] == ["pass", "unknown"]


def test_the_command_names_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.judge(str(tmp_path / "none")) == 64
    assert "cannot be read" in capsys.readouterr().err


def test_the_whole_command(tmp_path: Path) -> None:
    (tmp_path / "experiments").write_bytes(line(*clear(9)))
    ran = subprocess.run(
        [sys.executable, "-m", "stress", "judge", str(tmp_path / "experiments")],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(ran.stdout)["races"]["x"]["decided_after"] == 9


def stepwise(experiment: Experiment) -> tuple[int, dict[str, str]]:
    """The definition: judge after each block, stop when all is decided."""
    for ran in range(1, len(experiment.blocks) + 1):
        begun = Experiment(
            control=experiment.control,
            under_test=experiment.under_test,
            races=experiment.races,
            blocks=experiment.blocks[:ran],
        )
        verdicts = judge(_checks(begun), races=begun.races, control="a", under_test="b")
        if decided(verdicts) or ran == len(experiment.blocks):
            return ran, {race: str(verdict.verdict) for race, verdict in verdicts.items()}
    raise AssertionError("no blocks")


def _checks(experiment: Experiment) -> list:  # type: ignore[type-arg]
    from stress.judge.experiment import _check

    return [
        _check(experiment, block, race, n) for n, block in enumerate(experiment.blocks) for race in experiment.races
    ]


@pytest.mark.parametrize("name", ["independent", "block-wise, each race", "gamma, variance/mean 13"])
def test_the_shortcuts_change_no_verdict(name: str) -> None:
    rng = np.random.default_rng(5)
    counts, tests = GENERATORS[name](rng, 12, 0.8), orders(rng, 12)
    for run in range(len(counts)):
        experiment = experiment_of(counts[run], tests[run])
        found = {race: str(verdict.verdict) for race, verdict in judge_experiment(experiment).items()}
        assert found == stepwise(experiment)[1]


def test_a_run_that_the_filter_leaves_out_is_never_removed() -> None:
    rng = np.random.default_rng(6)
    counts, tests = GENERATORS["block-wise, each race"](rng, 60, 0.3), orders(rng, 60)
    possible = may_be_removed(counts, tests)
    left_out = np.flatnonzero(~possible)[:40]
    assert len(left_out) > 20
    for run in left_out:
        verdicts = judge_experiment(experiment_of(counts[run], tests[run]))
        assert all(verdict.verdict is not RaceState.REMOVED for verdict in verdicts.values())


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_equal_arms_are_removed_in_at_most_one_run_of_a_hundred(name: str) -> None:
    """1,500 runs at the worst rates: more than 24 hits would be more than 1 % with 99.9 % confidence."""
    hits = sum(false_removed(GENERATORS[name], rate, 750, seed).hits for seed, rate in enumerate((0.3, 0.8)))
    assert hits <= 24


def test_three_repairs_pass_within_ten_blocks() -> None:
    assert power(200, 1).hits >= 190
