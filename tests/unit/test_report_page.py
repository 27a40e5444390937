"""report.html: one valid page without anything from outside, bounded, with everything escaped."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from stress.report import page, text
from stress.results import Results
from tests.unit.reported import FACTS, RACES, REMAINS, UNKNOWN, example, hostile, long_run

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """Checks that tags nest, and keeps tags, ids, links and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.append(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(html: str) -> Outline:
    """The page's outline; fails if tags don't nest or ids repeat."""
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    return parser


def test_page_needs_nothing_but_itself() -> None:
    html = page.render(example(), FACTS)
    found = outline(html)
    assert "script" not in found.tags
    assert found.links
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert "@import" not in html
    assert "url(" not in html


def test_page_is_in_the_order_of_interest() -> None:
    html = page.render(example(blind=("the log vanished",)), FACTS)
    expected = ["<h1>", "Not everything was seen", 'id="races"', 'id="deadlock"', "Incidents over the run", "Witnesses",
                'id="duplicate_callback"', 'id="arms"', 'id="again"', FACTS.command]  # fmt: skip
    places = [html.index(landmark) for landmark in expected]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("results", "word", "headline"),
    [
        (example(), "pass", "All 3 races were seen on stock, and are gone on fixed."),
        (REMAINS, "fail", "Deadlock remains on fixed."),
        (UNKNOWN, "unknown", "Undecided: deadlock. Removed: duplicate callback and out of order frame."),
    ],
)
def test_page_says_the_verdict_in_words(results: Results, word: str, headline: str) -> None:
    html = page.render(results, FACTS)
    assert f'<div class="verdict {word}">' in html
    assert headline in html[: html.index("</h1>")]


def test_page_shows_counts_with_denominators_and_rates() -> None:
    html = page.render(example(), FACTS)
    count = example().races["deadlock"].arms["stock"]
    assert f"51 of {count.opportunities:,}" in html
    assert f"{text.per_thousand(count)} per 1,000 state updates" in html


def test_page_shows_a_witness_of_each_cause_with_its_locks_marked() -> None:
    html = page.render(example(), FACTS)
    assert html.count('<article class="witness">') == 4
    assert "<mark>FOR UPDATE</mark>" in html
    assert "Got frame.id=555, expect_id=556" in html


def test_page_escapes_everything() -> None:
    html = page.render(hostile(), FACTS)
    found = outline(html)
    assert "script" not in found.tags
    assert not [name for name in found.attributes if name.startswith("on")]
    assert "\x1b" not in html
    html.encode()


def test_page_stays_below_two_megabytes_and_says_what_it_leaves_out() -> None:
    html = page.render(long_run(), FACTS)
    outline(html)
    assert len(html.encode()) < 2_000_000
    assert "more causes not shown here" in html
    assert "180 more blocks in" in html
    assert "60 more rows" in html
    assert "more characters)" in html


def test_page_has_room_for_more_than_two_arms() -> None:
    order = ("stock", "proposed", "fixed") * 3
    counts = {race: {"stock": (9, 9, 9), "proposed": (8, 9, 7), "fixed": (0, 0, 0)} for race in RACES}
    html = page.render(example(counts, order=order), FACTS)
    outline(html)
    assert '<span class="arm a1">proposed</span>' in html
    assert "the arms between are shown with their counts" in html
