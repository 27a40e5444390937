"""CPU seconds of a load: differences of readings, over the lives of a component."""

from __future__ import annotations

import os
import subprocess
import sys

from stress.cluster.base import CpuReading
from stress.cluster.supervision import procfs
from stress.cpu import CpuMeter


def used(*looks: dict[str, tuple[int, float]]) -> dict[str, float]:
    """What is used after these readings, the first of which is that of the beginning."""
    readings = iter([{name: CpuReading(*reading) for name, reading in look.items()} for look in looks])
    meter = CpuMeter(lambda: next(readings))
    for _ in looks[2:]:
        meter.sample()
    return meter.used().seconds


def test_what_was_used_before_the_load_does_not_count() -> None:
    assert used({"a": (7, 10.0)}, {"a": (7, 12.0)}, {"a": (7, 12.5)}) == {"a": 2.5}


def test_a_component_that_was_started_again_counts_from_0_and_its_predecessor_up_to_its_last_sample() -> None:
    assert used({"a": (7, 10.0)}, {"a": (7, 12.0)}, {}, {"a": (8, 20.0)}) == {"a": 22.0}


def test_a_component_whose_lives_have_no_names_was_started_again_if_it_counts_less() -> None:
    assert used({"a": (0, 10.0)}, {"a": (0, 12.0)}, {"a": (0, 3.0)}) == {"a": 5.0}


def test_a_child_whose_time_is_lost_is_not_used_again() -> None:
    assert used({"a": (7, 10.0)}, {"a": (7, 9.0)}, {"a": (7, 9.5)}) == {"a": 0.5}


def test_a_component_without_any_reading_is_absent() -> None:
    assert used({}, {}) == {}


def test_the_time_of_children_that_were_waited_for_counts() -> None:
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    before = procfs.cpu_seconds([os.getpid()])
    subprocess.run([sys.executable, "-S", "-c", burn], check=True)
    assert procfs.cpu_seconds([os.getpid()]) - before >= 0.25


def test_a_process_that_is_gone_uses_nothing() -> None:
    assert procfs.cpu_seconds([2**22 - 1]) == 0.0
