"""The timeline in report.html: a band a block, a tick an incident, bounded in size."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from stress.report import timeline
from stress.results import Results
from tests.unit.reported import LOAD_S, REMAINS, example, long_run


def drawn(results: Results, race: str = "deadlock") -> timeline.Timeline:
    """The timeline of one race."""
    found = timeline.draw(results.blocks, [i for i in results.incidents if i.race == race], results.arms)
    assert found is not None
    return found


def test_timeline_has_a_band_a_block_and_a_tick_an_incident() -> None:
    shown = drawn(example())
    assert [band.arm for band in shown.bands] == [0, 1, 1, 0, 0, 1, 1, 0, 0]
    assert shown.bands[0].x == shown.left
    assert shown.bands[-1].x + shown.bands[-1].width == pytest.approx(shown.right, abs=0.2)
    assert len(shown.ticks) + sum(int(n) for t in shown.ticks for n in re.findall(r"and (\d+) more", t.title)) == 51


def test_timeline_puts_each_tick_in_a_block_of_its_arm() -> None:
    shown = drawn(REMAINS)
    for tick in shown.ticks:
        assert any(b.arm == tick.arm and b.x - 1 <= tick.x <= b.x + b.width + 1 for b in shown.bands)


def test_timeline_stretches_a_block_for_what_came_to_light_while_it_settled() -> None:
    results = example()
    late = replace(results.incidents[0], at_s=LOAD_S + 20)
    shown = timeline.draw(results.blocks, [late], results.arms)
    assert shown is not None
    assert shown.bands[0].width == pytest.approx(shown.bands[1].width * (LOAD_S + 20) / LOAD_S, abs=0.2)
    assert shown.ticks[0].x <= shown.bands[1].x + 1


def test_timeline_labels_do_not_cover_each_other() -> None:
    heights = sorted(curve.label_y for curve in drawn(REMAINS).curves)
    assert heights[1] - heights[0] >= 15


def test_timeline_is_bounded_however_long_the_run() -> None:
    shown = drawn(long_run())
    assert len(shown.ticks) < 2 * timeline.WIDTH
    assert max(len(curve.path) for curve in shown.curves) < 20 * timeline.WIDTH
    assert len(shown.x_marks) <= 11
    assert len(shown.y_marks) <= 6


def test_timeline_without_a_block_is_none() -> None:
    assert timeline.draw((), (), example().arms) is None
