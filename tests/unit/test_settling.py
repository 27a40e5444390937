"""Settling after faults: until nothing waits, or until it has stood still for longer than Airflow's own recovery."""

from __future__ import annotations

from stress.faults import recovery
from stress.settling import MOST_S, RUNNERS_S, Settling, Waiting, callbacks_needed_s, tasks_needed_s

CONFIG = {
    "scheduler.scheduler_health_check_threshold": "12",
    "triggerer.triggerer_health_check_threshold": "12",
    "scheduler.orphaned_tasks_check_interval": "5",
    "scheduler.task_instance_heartbeat_timeout": "45",
    "scheduler.task_instance_heartbeat_timeout_detection_interval": "5",
    "scheduler.task_queued_timeout": "60",
    "scheduler.task_queued_timeout_check_interval": "5",
}
NOTHING = Waiting()
ONE = Waiting(1, "a", frozenset({"queued"}))


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def seconds_until_over(
    looks: list[tuple[Waiting, Waiting]], *, runners: bool = False, step_s: float = 1.0, drains: bool = True
) -> tuple[float, Settling]:
    """How long a block settles that looks so, one look a second, and then for ever as at the last."""
    clock = Clock()
    settling = Settling(CONFIG, clock, drains=drains)
    began = clock.now
    number = 0
    while not settling.over(*looks[min(number, len(looks) - 1)], runners=runners):
        clock.now += step_s
        number += 1
    return clock.now - began, settling


def test_a_block_in_which_nothing_waits_has_settled_at_once() -> None:
    assert seconds_until_over([(NOTHING, NOTHING)])[0] == 0


def test_a_block_settles_as_soon_as_nothing_waits_any_more() -> None:
    assert seconds_until_over([(ONE, NOTHING)] * 5 + [(NOTHING, NOTHING)])[0] == 5


def test_a_callback_that_stands_still_is_waited_for_as_long_as_a_takeover_takes() -> None:
    assert seconds_until_over([(ONE, NOTHING)])[0] == callbacks_needed_s(CONFIG) == 27


def test_a_task_that_stands_still_is_waited_for_as_long_as_its_state_s_rescue_takes() -> None:
    assert seconds_until_over([(NOTHING, ONE)])[0] == 70  # 60 s until a queued task is given up, looked for every 5 s
    deferred = Waiting(1, "a", frozenset({"deferred"}))
    assert seconds_until_over([(NOTHING, deferred)])[0] == 32


def test_a_change_begins_the_wait_anew() -> None:
    other = Waiting(1, "b", frozenset({"queued"}))
    assert seconds_until_over([(ONE, NOTHING)] * 20 + [(other, NOTHING)])[0] == 47


def test_a_block_that_never_stands_still_ends_all_the_same() -> None:
    looks = [(Waiting(1, str(n)), NOTHING) for n in range(1000)]
    took_s, settling = seconds_until_over(looks)
    assert took_s == MOST_S
    said = settling.said()
    assert (said.callbacks, said.callbacks_unchanged_s) == (1, 0)


def test_runners_that_own_triggers_are_looked_at_until_a_standstill_would_show() -> None:
    assert seconds_until_over([(NOTHING, NOTHING)], runners=True)[0] == RUNNERS_S


def test_what_is_said_is_what_was_seen() -> None:
    _, settling = seconds_until_over([(NOTHING, Waiting(3, "x", frozenset({"running"})))])
    said = settling.said()
    assert (said.seconds, said.callbacks, said.tasks, said.tasks_unchanged_s, said.tasks_needed_s) == (55, 0, 3, 55, 55)


def test_airflow_s_defaults_hold_where_nothing_is_configured() -> None:
    assert callbacks_needed_s({}) == 45
    assert tasks_needed_s({}, {"queued"}) == 725
    assert tasks_needed_s({}, {"deferred"}) == 335  # a dead scheduler's orphans may be among them


def test_an_arm_s_own_configuration_counts() -> None:
    assert callbacks_needed_s({"triggerer.triggerer_health_check_threshold": "20"}) == 35


def test_every_rescue_of_a_run_with_faults_fits_into_the_longest_settling() -> None:
    states = {"queued", "running", "deferred", "scheduled", "none"}
    assert tasks_needed_s(recovery.CONFIG, states) + 20 <= MOST_S
    assert callbacks_needed_s(recovery.CONFIG) + 20 <= MOST_S


def test_without_faults_a_task_is_waited_for_as_long_as_a_triggerer_needs_to_be_replaced() -> None:
    seconds, settling = seconds_until_over([(NOTHING, ONE)], drains=False)
    assert seconds == callbacks_needed_s(CONFIG)
    assert (settling.said().tasks_needed_s, settling.said().drained) == (callbacks_needed_s(CONFIG), False)


def test_without_faults_runners_that_own_triggers_are_not_looked_at() -> None:
    assert seconds_until_over([(NOTHING, NOTHING)], runners=True, drains=False)[0] == 0
