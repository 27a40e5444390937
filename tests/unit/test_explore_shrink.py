"""Shrinking: the shortest schedule with the same failure, on programs whose shortest ones are known by trying all."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedule import decode
from airflow_stress_explore.core.search import Record, Search, Verdict
from airflow_stress_explore.core.shrink import Length, Shortest, ShortestOfEach, Shrinker, kind_of, length_of
from tests.unit.explored import PROGRAMS, Play, Programs, all_within, commit, locks, writes

BOUND = 3
LOST = Failure("lost_update", "a row is 3, not 4")


def judged(record: Record, fails: Callable[[str], bool]) -> Record:
    failures = [LOST] if fails("".join(record.choices)) else []
    return Record(record.choices, record.seen, record.diverged, Verdict(failures))


class JudgedPlay(Play):
    """A program of which some schedules fail."""

    fails: Callable[[str], bool]

    def finish(self) -> Record:
        return judged(super().finish(), self.fails)

    def play(self, path: Sequence[str]) -> Record:
        self.start(path)
        return self.finish()


def playing(programs: Programs, fails: Callable[[str], bool]) -> JudgedPlay:
    play = JudgedPlay(programs)
    play.fails = fails
    return play


def between(choices: str) -> bool:
    """B takes its first step after A's first and before A's last, and its last one after that: an order of steps, so
    that equivalent schedules fail alike."""
    return "A" in choices[: choices.index("B")] and "A" in choices[choices.index("B") :]


FAILS: dict[str, tuple[Programs, Callable[[str], bool]]] = {
    "between": ({"A": [writes("x")] * 4, "B": [writes("x")] * 3}, between),
    "twice": ({"A": [writes("x")] * 4, "B": [writes("x")] * 3}, lambda it: "ABABA" in _turns(it)),
    "late": ({"A": [writes("x")] * 6, "B": [writes("x")] * 2}, lambda it: it.startswith("AAAAB")),
    "three": ({"A": [writes("x")] * 3, "B": [writes("x")] * 2, "C": [writes("x")] * 2}, lambda it: "ACB" in _turns(it)),
    "waits": (PROGRAMS["one waits"], between),
}
"""Programs, and which of their schedules fail; all steps conflict, or the order that fails is of steps that do."""


def _turns(choices: str) -> str:
    return "".join(one for at, one in enumerate(choices) if at == 0 or choices[at - 1] != one)


def known_shortest(programs: Programs, fails: Callable[[str], bool], bound: int) -> Length:
    whole = (judged(record, fails) for record in all_within(programs, bound).values())
    return min(length_of(record) for record in whole if record.verdict.failures)


@pytest.mark.parametrize("name", FAILS)
def test_every_failing_schedule_shrinks_to_the_shortest_one(name: str) -> None:
    programs, fails = FAILS[name]
    shortest = known_shortest(programs, fails, BOUND)
    failing = [record for record in all_within(programs, BOUND).values() if fails("".join(record.choices))]
    assert len(failing) > 2
    for record in failing[:: max(1, len(failing) // 6)]:
        play = playing(programs, fails)
        found = Shrinker(play.play, list(programs)).shrink(record.choices, kind_of(LOST))
        assert found is not None
        assert found.proved
        assert (found.length.preemptions, found.length.choices) <= (shortest.preemptions, shortest.choices)
        assert found.plays == len(play.whole)
        assert fails("".join(play.play(decode(found.schedule)).choices))


@pytest.mark.parametrize("name", FAILS)
def test_the_first_of_a_bounded_search_is_the_shortest(name: str) -> None:
    programs, fails = FAILS[name]
    shortest, known = known_shortest(programs, fails, BOUND), ShortestOfEach()
    search = Search([playing(programs, fails)], list(programs), BOUND)
    failing = [known.of(tried.record) for tried in search.run(60) if tried.failures]
    assert len(set(failing)) == 1
    assert (failing[0].length.preemptions, failing[0].length.choices) == (shortest.preemptions, shortest.choices)
    assert list(known) == failing[:1]


def test_the_same_schedule_shrinks_in_the_same_way_each_time() -> None:
    programs, fails = FAILS["three"]
    draw = random.Random(3)  # noqa: S311 - the same choices each time
    choices = next(it for it in (draw.choices("ABC", k=7) for _ in range(1000)) if fails("".join(it)))
    found = {Shrinker(playing(programs, fails).play, "ABC").shrink(choices, kind_of(LOST)) for _ in range(3)}
    assert len(found) == 1


def test_a_schedule_that_fails_otherwise_is_not_shrunk() -> None:
    programs, fails = FAILS["between"]
    assert Shrinker(playing(programs, fails).play, "AB").shrink("AB", "deadlock") is None


def test_when_the_plays_end_first_the_result_is_not_proved() -> None:
    programs, fails = FAILS["late"]
    found = Shrinker(playing(programs, fails).play, "AB", most_plays=2).shrink("AAAABB", kind_of(LOST))
    assert found == Shortest("A4B", Length(1, 5, 2), kind_of(LOST), plays=2, proved=False)


def test_a_walk_s_failures_are_shrunk_once_a_kind() -> None:
    programs, fails = FAILS["between"]
    play = playing(programs, fails)
    known = ShortestOfEach(Shrinker(play.play, "AB"))
    found = [known.of(play.play(choices)) for choices in ("AABBABA", "ABABABA", "ABAABAB")]
    assert [shortest.schedule for shortest in found] == ["A1B"] * 3
    assert found[0].plays > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Failure("deadlock", "A: process 4711"), Failure("deadlock", "B: process 12"), True),
        (Failure("lost_update", "x is 11, not 16"), Failure("lost_update", "x is 15, not 16"), True),
        (Failure("illegal_transition", "none -> failed"), Failure("illegal_transition", "none -> queued"), False),
        (
            Failure("illegal_transition", "0199c3f2a1b4: none"),
            Failure("illegal_transition", "0199c3f2a1ff: none"),
            True,
        ),
        (Failure("error", "A: ValueError"), Failure("duplicate", "A: ValueError"), False),
    ],
)
def test_what_is_the_same_failure(one: Failure, other: Failure, same: bool) -> None:
    assert (kind_of(one) == kind_of(other)) is same


def test_what_a_blocked_actor_loses_is_no_preemption() -> None:
    play = Play({"A": [locks("x"), commit("x")], "B": [locks("x"), commit("x")]})
    play.start("ABAB")
    assert length_of(play.finish()) == Length(preemptions=1, choices=2, switches=3)
