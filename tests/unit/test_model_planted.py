"""Planted anomalies: every one is found, by the right checker, and nothing else is."""

from __future__ import annotations

import pytest

from stress.model import CheckerName, check
from stress.model.rules import line_of
from tests.unit import feeds, plants

TIMES = 200
"""Of each kind."""


@pytest.mark.parametrize("release", ["3.1.8", "3.2.1", "3.3.2", "3.4.0b2"])
def test_a_feed_without_plants_has_no_anomaly(release: str) -> None:
    feed = feeds.clean(seed=3, runs=300, archives=line_of(release) >= (3, 4))
    findings = check(feed.transactions, feed.answers, release)
    assert [anomaly.what for anomaly in findings.anomalies] == []
    assert findings.transitions["task_instance"] > 5000


@pytest.mark.parametrize("release", ["3.3.2", "3.4.0b2"])
@pytest.mark.parametrize("kind", plants.KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_every_plant_is_found_by_its_checker(kind: plants.Kind, release: str) -> None:
    archives = line_of(release) >= (3, 4)
    feed = feeds.clean(seed=5, runs=60, archives=archives)
    planted, expected = plants.planted(feed, [kind], TIMES, feeds.Writer(7, archives=archives))
    findings = check(planted.transactions, planted.answers, release)
    assert {anomaly.xid: anomaly.checker for anomaly in findings.anomalies} == expected
    assert findings.found.total() == len(expected) >= TIMES - 1


def test_all_kinds_at_once_disturb_none() -> None:
    feed = feeds.clean(seed=11, runs=300)
    planted, expected = plants.planted(feed, plants.KINDS, TIMES, feeds.Writer(13))
    findings = check(planted.transactions, planted.answers, "3.3.2")
    assert {anomaly.xid: anomaly.checker for anomaly in findings.anomalies} == expected
    assert set(findings.found) == set(CheckerName)
