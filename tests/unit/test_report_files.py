"""How numbers and headlines are written, and how the reports' files are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stress.report import FILE_NAMES, terminal, text, write_all
from stress.results import RaceState, Results, RunState, Verdict
from tests.unit.reported import COUNTS, FACTS, REMAINS, example, with_counts


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (text.seconds(6.44), "6.4 s"),
        (text.seconds(182), "3 min 02 s"),
        (text.seconds(3599.9), "1 h 00 min"),
        (text.seconds(59.97), "1 min 00 s"),
        (text.seconds(None), "–"),
        (text.significant(0.0274), "0.0274"),
        (text.significant(2.7344), "2.73"),
        (text.significant(1234.5), "1,234"),
        (text.significant(0.0000123), "0.000012300"),
        (text.bound(0.2304), "< 0.23"),
        (text.bound(14.2), "< 14"),
        (text.megabytes(1_930_000_000), "1.93 GB"),
        (text.change(9.64, 9.31), "+3.5 %"),
        (text.change(9.0, 10.0), "−10.0 %"),
        (text.moment(0), "1970-01-01 00:00:00 UTC"),
        (text.listed(["a", "b", "c"]), "a, b and c"),
        (text.listed([]), ""),
        (text.without_state("removed: 0 of 5"), "0 of 5"),
        (text.printable("a\x1b\x00b\tc"), "a\ufffd\ufffdb\tc"),
    ],
)
def test_how_things_are_written(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (
            example(state=RunState.INTERRUPTED),
            "The run was interrupted. Every race was decided, but the run was cut short, so the result is unknown.",
        ),
        (
            with_counts(deadlock={"stock": (40, 40, 40, 40, 40), "fixed": (3, 3, 3, 3)}),
            "Deadlock is reduced, not removed.",
        ),
        (example({"deadlock": COUNTS["deadlock"]}), "The race was seen on stock, and is gone on fixed."),
    ],
)
def test_headlines(results: Results, expected: str) -> None:
    assert text.headline(results).startswith(expected)


@pytest.mark.parametrize(
    "results",
    [
        replace(example(), races={}, blocks=(), incidents=(), throughput={}, verdict=Verdict.UNKNOWN),
        replace(example(), arms=(), races={}, blocks=(), incidents=(), throughput={}, state=RunState.FAILED),
        replace(example(), incidents=(), blocks=()),
    ],
    ids=["nothing judged", "nothing at all", "no blocks"],
)
def test_every_format_survives_a_run_that_came_to_nothing(results: Results, tmp_path: Path) -> None:
    write_all(results, replace(FACTS, ended_at=None), tmp_path)
    assert terminal.render(results)


def test_write_all_writes_every_file_and_nothing_else(tmp_path: Path) -> None:
    written = write_all(example(), FACTS, tmp_path)
    assert tuple(path.name for path in written) == FILE_NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILE_NAMES)
    assert all(path.stat().st_size for path in written)


def test_write_all_leaves_the_old_file_whole_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(example(), FACTS, tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_all(REMAINS, FACTS, tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILE_NAMES)


def test_the_example_is_what_it_says() -> None:
    assert {verdict.verdict for verdict in example().races.values()} == {RaceState.REMOVED}
    assert REMAINS.verdict is Verdict.FAIL
