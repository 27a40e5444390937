"""Anomalies of a run: summed by arm, explained by the registry alone, left out where something was not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from stress import events
from stress.checkers.view import BlockView
from stress.events import TransactionCommitted
from stress.feed import FeedBroken
from stress.judge.anomalies import anomalies_of
from stress.report import page, results_json, summary, terminal
from stress.results import Anomalies, ArmSummary
from tests.unit import feeds, plants
from tests.unit.histories import Block
from tests.unit.reported import FACTS, example

ARMS = (ArmSummary("stock", "3.3.2", ()), ArmSummary("fixed", "3.3.2", ()))


def view(
    arm: str, number: int, feed: feeds.Feed, *, complete: bool = True, blind: str = "", seen: bool = True
) -> BlockView:
    """A block with a change feed."""
    block = Block(arm, number)
    if seen:
        block.add(-1.0, events.ObserverUp(observer="change_feed"))
    if blind:
        block.add(5.0, events.ObserverBlind(observer=blind, reason="it was cut"))
    for t, event in feed.answers:
        block.add(t - feeds.EPOCH, event)
    block.end(complete=complete)
    return replace(block.view(), transactions=lambda: iter(feed.transactions))


def planted(kind: plants.Kind, times: int = 3) -> feeds.Feed:
    """A feed with anomalies."""
    return plants.planted(feeds.clean(1, 4), [kind], times, feeds.Writer(2))[0]


def judged(*views: BlockView) -> Anomalies:
    found = anomalies_of(views, ARMS)
    assert found is not None
    return found


def test_a_run_without_a_change_feed_has_no_anomalies() -> None:
    assert anomalies_of([view("stock", 0, feeds.Feed(), seen=False)], ARMS) is None


def test_anomalies_are_summed_by_arm() -> None:
    clean = feeds.clean(1, 4)
    found = judged(*(view("stock", n, planted(plants.KINDS[0])) for n in (0, 1)), view("fixed", 2, clean))
    counts = found.checkers["illegal_transition"]
    assert (counts["stock"].found, counts["stock"].unexplained) == (6, 6)
    assert (counts["fixed"].found, counts["fixed"].opportunities) == (0, found.transitions["fixed"])
    assert found.transitions["fixed"] > 100


def test_a_race_of_the_registry_explains_and_no_witness_is_shown() -> None:
    found = judged(view("stock", 0, planted(plants.stale_event)), view("fixed", 1, feeds.clean(1, 4)))
    count = found.checkers["stale_event"]["stock"]
    assert (count.found, count.unexplained, count.explained) == (3, 0, {"stale_trigger_event": 3})
    assert found.unexplained == ()


def test_a_name_that_the_registry_lacks_explains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stress.judge.anomalies.RACES", {})
    count = judged(view("stock", 0, planted(plants.stale_event))).checkers["stale_event"]["stock"]
    assert (count.found, count.unexplained, count.explained) == (3, 3, {})


def test_an_unexplained_anomaly_has_its_interleaving() -> None:
    found = judged(view("stock", 0, planted(plants.KINDS[0], times=1)))
    (witness,) = found.unexplained
    assert (witness.checker, witness.arm, witness.block) == ("illegal_transition", "stock", 0)
    assert any("the anomaly" in row[1] and "state = queued" in row[4] for row in witness.table.rows)
    assert len(witness.table.rows) > 3


@pytest.mark.parametrize("blind", ["change_feed", "load", "execution_api"])
def test_a_block_in_which_something_was_not_seen_is_left_out(blind: str) -> None:
    found = judged(view("stock", 0, planted(plants.KINDS[0]), blind=blind))
    assert found.transitions["stock"] == 0
    assert found.blind == (f"block 0: {blind} was blind: it was cut",)


def test_a_block_that_was_cut_short_is_left_out() -> None:
    found = judged(view("stock", 0, planted(plants.KINDS[0]), complete=False))
    assert found.transitions["stock"] == 0
    assert found.blind


def test_a_feed_that_is_not_whole_is_left_out() -> None:
    def torn() -> Iterator[TransactionCommitted]:
        yield from feeds.clean(1, 1).transactions
        raise FeedBroken("the feed ends early: line 9 is torn")

    found = judged(replace(view("stock", 0, feeds.clean(1, 1)), transactions=torn))
    assert found.transitions["stock"] == 0
    assert found.blind == ("block 0: the feed ends early: line 9 is torn",)


def test_a_defect_of_the_model_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("stress.judge.anomalies.check", fail)
    assert judged(view("stock", 0, feeds.clean(1, 1))).blind == ("block 0: the model failed: KeyError: 'x'",)


def reported() -> Anomalies:
    return judged(view("stock", 0, planted(plants.KINDS[0])), view("fixed", 1, feeds.clean(1, 4), blind="load"))


def test_the_terminal_shows_counts_witnesses_and_blindness() -> None:
    shown = terminal.render(replace(example(), anomalies=reported()))
    assert "transitions checked" in shown
    assert "unexplained 3)" in shown
    assert "unexplained illegal transition, stock, block 0 at" in shown
    assert "not checked for anomalies: block 1: load was blind: it was cut" in shown


def test_the_summary_has_every_checker_with_its_unit() -> None:
    shown = summary.render(replace(example(), anomalies=reported()), FACTS)
    assert "## Anomalies" in shown
    assert "| lost clear | clears |" in shown


def test_the_page_has_every_checker_and_the_interleaving() -> None:
    shown = page.render(replace(example(), anomalies=reported()), FACTS)
    assert '<h2 id="anomalies">Anomalies</h2>' in shown
    assert "Not checked: block 1: load was blind: it was cut" in shown
    assert "Transactions that changed the same rows" in shown
    assert "(the anomaly)" in shown


def test_results_json_has_counts_and_steps() -> None:
    import json

    document = json.loads(results_json.render(replace(example(), anomalies=reported())))["anomalies"]
    assert document["checkers"]["illegal_transition"]["stock"]["unexplained"] == 3
    assert document["checkers"]["illegal_transition"]["unit"] == "transitions"
    assert set(document["unexplained"][0]["steps"][0]) == {"at", "transaction", "writer", "row", "change"}
    assert document["blind"] == ["block 1: load was blind: it was cut"]
