"""The rules: which transitions each release line allows, by whom, and under what condition."""

from __future__ import annotations

import pytest

from stress.model.rules import API, SCHEDULER, TRIGGERER, UNKNOWN_ROLE, Need, Rule, Table, line_of
from stress.model.run_rules import CALLBACK_RULES, DEADLINE_RULES, RUN_RULES
from stress.model.states import EVERY
from stress.model.task_rules import RULES

LINES = ((3, 1), (3, 2), (3, 3), (3, 4))
TABLES = {"task": RULES, "run": RUN_RULES, "callback": CALLBACK_RULES, "deadline": DEADLINE_RULES}


@pytest.mark.parametrize(
    ("release", "line"), [("3.1.8", (3, 1)), ("3.4.0b2", (3, 4)), ("3.10.0rc1", (3, 10)), ("3.4.0.dev0", (3, 4))]
)
def test_the_line_of_a_release(release: str, line: tuple[int, int]) -> None:
    assert line_of(release) == line


def test_what_is_no_version_has_no_line() -> None:
    with pytest.raises(ValueError, match="'main' is no version of Airflow"):
        line_of("main")


@pytest.mark.parametrize(
    ("table", "before", "after", "role", "allowed"),
    [
        ("task", "scheduled", "queued", SCHEDULER, True),
        ("task", "scheduled", "queued", UNKNOWN_ROLE, True),
        ("task", "scheduled", "queued", API, False),
        ("task", "scheduled", "queued", "planted", False),
        ("task", "queued", "running", API, True),
        ("task", "queued", "running", SCHEDULER, False),
        ("task", "running", "success", API, True),
        ("task", "running", "scheduled", UNKNOWN_ROLE, False),
        ("task", "running", "queued", SCHEDULER, False),
        ("task", "deferred", "scheduled", TRIGGERER, True),
        ("task", "deferred", "running", API, False),
        ("task", "failed", "scheduled", TRIGGERER, False),
        ("task", "success", "failed", API, False),
        ("task", "none", "success", SCHEDULER, True),
        ("run", "queued", "running", SCHEDULER, True),
        ("run", "failed", "running", SCHEDULER, False),
        ("run", "success", "queued", API, False),
        ("callback", "queued", "running", TRIGGERER, True),
        ("callback", "success", "failed", TRIGGERER, False),
    ],
)
def test_transitions_without_a_condition(table: str, before: str, after: str, role: str, allowed: bool) -> None:
    assert Table(TABLES[table], (3, 3)).allows_freely((before, after), role) is allowed


@pytest.mark.parametrize("line", LINES)
def test_only_a_condition_lets_a_final_state_go(line: tuple[int, int]) -> None:
    table = Table(RULES, line)
    free = {(b, a) for b, a in table.free if b in ("success", "failed", "skipped", "upstream_failed")}
    assert {after for _, after in free} == {"removed"}


@pytest.mark.parametrize(("line", "has"), [((3, 1), False), ((3, 2), False), ((3, 3), True), ((3, 4), True)], ids=str)
def test_input_is_awaited_from_3_3_on(line: tuple[int, int], has: bool) -> None:
    assert Table(RULES, line).allows_freely(("running", "awaiting_input"), API) is has


def test_a_new_id_ends_an_attempt_until_3_3_only() -> None:
    for line in LINES:
        table = Table(RULES, line, new_attempt=True)
        assert bool(table.rules) is (line < (3, 4))


def test_a_clear_needs_a_request_of_a_user() -> None:
    rules = Table(RULES, (3, 3), new_attempt=True).conditional(("success", "none"), API)
    assert [rule.need for rule in rules] == [Need.CLEAR]


@pytest.mark.parametrize("rules", TABLES.values(), ids=TABLES)
def test_every_rule_names_a_function_and_known_lines(rules: tuple[Rule, ...]) -> None:
    for rule in rules:
        module, _, function = rule.source.partition(":")
        assert module.replace(".", "_").isidentifier()
        assert function.replace(".", "_").isidentifier()
        assert rule.since in LINES
        assert rule.until is None or rule.until in LINES


def test_task_rules_know_no_other_states() -> None:
    known = {*EVERY, "absent"}
    assert {state for rule in RULES for state in (*rule.before, *rule.after)} <= known
