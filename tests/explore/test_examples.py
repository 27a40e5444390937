"""The worked examples of docs/examples: each finds the defects of its wrong versions, and none in the right one.

They run in the harness's own environment, which has no Airflow: the schedule explorer does not need it.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Set
from contextlib import contextmanager

import bank_transfer
import cancelled_request
import examples_support
import pytest
import skip_locked_queue

from airflow_stress_explore.sql import Testbed
from stress.layout import ROOT

HOW_TO = ROOT / "docs" / "explorer.md"
DEFECTS: dict[tuple[str, str], Set[str]] = {
    ("bank", "read_then_write"): {"total", "lost_update", "deadlock"},
    ("bank", "in_transfer_order"): {"deadlock"},
    ("bank", "in_id_order"): set(),
    ("queue", "commit_then_mark"): {"runs"},
    ("queue", "mark_then_commit"): set(),
}
"""Examples and their versions to the invariants that schedules of them violate."""


@pytest.fixture(scope="module", autouse=True)
def no_airflow() -> None:
    """This environment has none."""
    assert importlib.util.find_spec("airflow") is None


@contextmanager
def prepared(example: str, version: str) -> Iterator[Testbed]:
    """An example's testbed on a server of its own."""
    module = {"bank": bank_transfer, "queue": skip_locked_queue}[example]
    with examples_support.database(module.TABLES) as engine:
        yield module.testbed(engine, module.VERSIONS[version])


@pytest.mark.parametrize(("example", "version"), DEFECTS)
def test_each_version_fails_as_its_docstring_says(example: str, version: str) -> None:
    with prepared(example, version) as testbed:
        explored = examples_support.explore(version, testbed)
    assert explored.exhausted
    assert set(explored.failing) == DEFECTS[example, version]
    assert explored.tried > 1


@pytest.mark.parametrize(("example", "version"), [("bank", "read_then_write"), ("queue", "commit_then_mark")])
def test_a_failing_schedule_fails_each_time(example: str, version: str) -> None:
    with prepared(example, version) as testbed:
        tried = next(one for one in testbed.search(1).run(examples_support.BUDGET_S) if one.failures)
        for _ in range(5):
            assert testbed.replay(tried.schedule).failures == list(tried.failures)


@pytest.mark.parametrize("timeout", [False, True])
@pytest.mark.parametrize("version", cancelled_request.VERSIONS)
def test_only_the_connection_that_trusts_gives_a_wrong_answer(version: str, timeout: bool) -> None:
    explored = cancelled_request.explore(version, timeout=timeout)
    assert explored.exhausted
    assert bool(explored.failing) == (version == "TrustingConnection")
    assert explored.tried > 1


def test_the_how_to_shows_what_the_examples_print(capsys: pytest.CaptureFixture[str]) -> None:
    bank_transfer.main([])
    skip_locked_queue.main([])
    cancelled_request.main()
    printed = capsys.readouterr().out
    blocks = re.findall(r"^```console\n(.*?)^```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    for block in blocks:
        _command, _, output = block.partition("\n")
        for part in output.split("...\n"):
            assert part.strip() in printed
