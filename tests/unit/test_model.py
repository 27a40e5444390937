"""The model on small feeds: what is legal under a condition, what explains an anomaly, and what a witness shows."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stress import events
from stress.events import AnyEvent, RowChange, TransactionCommitted
from stress.model import Anomaly, CheckerName, Findings, Known, check
from stress.races.registry import RACES
from tests.unit import feeds

AT = feeds.EPOCH
TI = "11111111-1111-4111-8111-111111111111"
RELEASE = "3.3.2"


class Small:
    """A feed of one run with one task instance, in a state that it reached legally."""

    def __init__(self, state: str | None = None, dag: str = "d", **columns: str | None) -> None:
        self.transactions: list[TransactionCommitted] = []
        self.answers: list[tuple[float, AnyEvent]] = []
        self.answers.append((AT, feeds.workers_seen()))
        self.now = AT
        dag_row = {"max_active_runs": "16", "max_active_tasks": "16", "fail_fast": columns.pop("fail_fast", "f")}
        self.commit("", RowChange("dag", "insert", (dag,), dag_row), xid=0)
        self.commit("api-server", feeds.run_insert("1", dag, "r"))
        self.commit("scheduler-1", RowChange("dag_run", "update", ("1",), {"state": "running"}))
        self.task = feeds.Task(TI, "r", dag, "t", state)
        self.commit("scheduler-1", feeds.task_insert(self.task, "v1", **columns), xid=0)

    def commit(self, writer: str, *changes: RowChange, xid: int | None = None, at: float | None = None) -> Small:
        """One transaction, a second after the one before."""
        self.now = self.now + 1.0 if at is None else at
        number = len(self.transactions) + 100
        self.transactions.append(
            TransactionCommitted(
                xid=number if xid is None else xid, lsn=number, at=self.now, writer=writer, changes=changes
            )
        )
        return self

    def move(self, writer: str, state: str | None, **columns: str | None) -> Small:
        """The task instance's state."""
        return self.commit(writer, feeds.task_change(self.task, state, **columns))

    def run(self, writer: str, state: str) -> Small:
        """The run's state."""
        return self.commit(writer, RowChange("dag_run", "update", ("1",), {"state": state}))

    def asked(self, request: str, state: str = "", code: int = 200, dag: str = "d") -> Small:
        """A request of a user around the next second."""
        answer = events.RequestAnswered(
            at=self.now + 1.1, sent_at=self.now + 0.9, request=request, dag=dag, run="r", task="t", state=state,
            code=code,
        )  # fmt: skip
        self.answers.append((answer.at, answer))
        return self

    def acknowledged(self) -> Small:
        """The worker's success, answered as stored around the last transaction."""
        event = events.SuccessAcknowledged(task_instances=[TI], answered=[(self.now - 0.1, self.now + 0.1)])
        self.answers.append((self.now, event))
        return self

    def check(self, release: str = RELEASE) -> Findings:
        """What the model finds."""
        return check(self.transactions, self.answers, release)

    def found(self, release: str = RELEASE) -> list[tuple[str, str]]:
        """Each anomaly's checker and the race that explains it."""
        return [(str(anomaly.checker), str(anomaly.explained_by or "")) for anomaly in self.check(release).anomalies]


@pytest.mark.parametrize("code", [200, 0, 500])
def test_a_mark_that_a_user_asked_for_is_no_anomaly(code: int) -> None:
    assert Small("success").asked("mark_task", "failed", code).move("api-server", "failed").found() == []


def test_a_request_that_the_end_of_the_load_cut_off_explains_what_it_did() -> None:
    small = Small("running").asked("mark_run", "failed")
    (at, answer) = small.answers.pop()
    assert isinstance(answer, events.RequestAnswered)
    facts = {name: getattr(answer, name) for name in ("sent_at", "request", "dag", "run", "task", "state")}
    small.answers.append((at, events.RequestSent(**facts)))
    assert small.move("api-server", "failed").found() == []


@pytest.mark.parametrize(("request_", "state"), [("mark_task", "success"), ("clear_task", ""), ("mark_run", "failed")])
def test_another_request_explains_no_mark(request_: str, state: str) -> None:
    assert len(Small("success").asked(request_, state).move("api-server", "failed").found()) == 1


def test_a_request_of_long_ago_explains_nothing() -> None:
    small = Small("success").asked("mark_task", "failed")
    small.now += 60.0
    assert small.move("api-server", "failed").found() == [("illegal_transition", "")]


def test_the_mark_of_a_run_stops_what_runs_and_skips_what_waits() -> None:
    assert Small("running").asked("mark_run", "failed").move("api-server", "failed").found() == []
    assert Small("queued").asked("mark_run", "failed").move("api-server", "skipped").found() == []
    assert Small("queued").asked("mark_run", "failed").move("api-server", "failed").found() != []


def test_the_mark_of_a_run_that_overwrites_a_success_is_the_known_race() -> None:
    small = Small("running").move("api-server", "success").acknowledged()
    small.asked("mark_run", "failed").move("api-server", "failed")
    assert small.found() == [("lost_acknowledged_write", "lost_mark")]


def test_a_success_that_is_overwritten_without_a_request_has_no_explanation() -> None:
    small = Small("running").move("api-server", "success").acknowledged().move("", "failed")
    assert small.found() == [("lost_acknowledged_write", "")]


def test_a_success_answered_and_stored_as_failed_is_the_known_race() -> None:
    assert Small("running").move("api-server", "failed").acknowledged().found() == [
        ("lost_acknowledged_write", "false_failed")
    ]


def test_a_success_that_was_answered_and_never_stored_is_found_at_the_end() -> None:
    small = Small("queued").move("api-server", "running", pid="1", hostname="h").acknowledged()
    assert small.found() == [("lost_acknowledged_write", "")]


def test_a_deferral_before_the_acknowledged_success_is_no_contradiction() -> None:
    small = Small("running").move("api-server", "deferred", trigger_id="1").move("triggerer-1", "scheduled")
    small.move("scheduler-1", "queued").move("api-server", "running").move("api-server", "success").acknowledged()
    assert small.found() == []


@pytest.mark.parametrize(("code", "checker"), [(200, "lost_acknowledged_write"), (500, "illegal_transition")])
def test_only_a_mark_that_was_answered_as_stored_is_a_promise(code: int, checker: str) -> None:
    small = Small("success").asked("mark_run", "failed", code).run("api-server", "failed")
    small.now += 200.0
    assert [found for found, _ in small.run("scheduler-2", "success").found()] == [checker]


def test_an_anomaly_names_its_task_instance() -> None:
    small = Small("scheduled", try_number="2").move("planted", "success")
    assert small.check().anomalies[0].what == "d.t (run r, try 2): scheduled -> success, by planted"


def test_a_mark_that_a_scheduler_overwrites_is_the_known_race() -> None:
    small = Small("success").asked("mark_run", "failed").run("api-server", "failed").run("scheduler-2", "success")
    assert small.found() == [("lost_acknowledged_write", "lost_mark")]


def test_an_event_for_a_task_that_is_not_deferred_any_more_is_the_known_race() -> None:
    small = Small("running").move("api-server", "deferred", trigger_id="1").asked("mark_task", "failed")
    small.move("api-server", "failed").move("triggerer-1", "scheduled")
    assert small.found() == [("stale_event", "stale_trigger_event")]


@pytest.mark.parametrize(("other", "explained"), [("scheduler-1", ""), ("scheduler-2", "exceeded_run_limit")])
def test_two_schedulers_that_start_runs_together_explain_a_cap_that_is_exceeded(other: str, explained: str) -> None:
    small = Small()
    small.commit("", RowChange("dag", "insert", ("narrow",), {"max_active_runs": "1", "max_active_tasks": "16"}))
    for number, writer in ((2, other), (3, "scheduler-1")):
        small.commit("api-server", feeds.run_insert(str(number), "narrow", f"r{number}"))
        small.commit(writer, RowChange("dag_run", "update", (str(number),), {"state": "running"}))
    assert small.found() == [("cap_exceeded", explained)]


def test_the_sweep_of_stuck_tasks_explains_its_second_start() -> None:
    small = Small("queued", queued_by_job_id="1", try_number="1")
    small.move("api-server", "running", pid="1", hostname="h")
    small.move("scheduler-1", "scheduled", queued_by_job_id=None)
    small.move("scheduler-1", "queued").move("api-server", "running", pid="2")
    assert small.found() == [("illegal_transition", "stuck_sweep"), ("double_start", "stuck_sweep")]


@pytest.mark.parametrize("seen", [True, False])
def test_two_workers_that_may_both_start_are_counted_once(seen: bool) -> None:
    small = Small("queued", try_number="1").move("api-server", "running", pid="1", hostname="h")
    if seen:
        small.commit("api-server", RowChange("task_instance", "update", (TI,), {"pid": "2", "hostname": "h"}))
    workers = [events.WorkerIdentity(at=AT + n, hostname="h", unixname="u", pid=n) for n in (1, 2)]
    double = events.DoubleStart(id=TI, try_number=1, first=workers[0], second=workers[1])
    small.answers.append((AT, double))
    assert small.found() == [("double_start", "")]


def test_known_races_are_of_the_registry() -> None:
    coming = {Known.EXCEEDED_RUN_LIMIT, Known.STALE_SUCCESS, Known.STUCK_SWEEP}
    assert set(Known) - coming <= set(RACES)


@pytest.mark.parametrize(("refused", "found"), [(False, ["stale_success"]), (True, [])])
def test_a_resumed_task_that_a_scheduler_fails(refused: bool, found: list[str]) -> None:
    small = Small("running").move("api-server", "deferred", trigger_id="1").move("triggerer-1", "scheduled")
    small.move("scheduler-1", "queued").move("scheduler-1", "failed")
    if refused:
        small.answers.append((AT, events.WorkerRefused(at=AT, id=TI, operation="run", code=500)))
    assert [checker for checker, _ in small.found()] == found


def test_without_the_answers_to_workers_a_failure_after_a_deferral_is_not_judged() -> None:
    small = Small("running").move("api-server", "deferred", trigger_id="1").move("triggerer-1", "scheduled")
    small.move("scheduler-1", "queued").move("scheduler-1", "failed").answers.clear()
    assert small.found() == []


def test_a_fault_explains_what_a_scheduler_fails() -> None:
    small = Small("running").move("api-server", "deferred", trigger_id="1").move("triggerer-1", "scheduled")
    small.move("scheduler-1", "queued").move("scheduler-1", "failed")
    fault = events.FaultInjected(number=0, fault="kill", target="scheduler-1", planned_s=0.0)
    small.answers.append((AT, fault))
    assert small.found() == []


@pytest.mark.parametrize(("owner_beats", "found"), [(True, ["double_start"]), (False, [])])
def test_a_trigger_goes_to_another_triggerer_only_if_its_owner_is_silent(owner_beats: bool, found: list[str]) -> None:
    small = Small()
    small.commit("triggerer-1", RowChange("job", "insert", ("3",), {"state": "running", "latest_heartbeat": "a"}))
    small.commit("", RowChange("trigger", "insert", ("1",), {"triggerer_id": None}))
    small.commit("triggerer-1", RowChange("trigger", "update", ("1",), {"triggerer_id": "3"}))
    small.now += 40.0
    if owner_beats:
        small.commit("triggerer-1", RowChange("job", "update", ("3",), {"latest_heartbeat": "b"}))
    small.commit("triggerer-2", RowChange("trigger", "update", ("1",), {"triggerer_id": "4"}))
    assert [checker for checker, _ in small.found()] == found


@pytest.mark.parametrize(("fail_fast", "explained"), [("t", "fail_fast"), ("f", "")])
def test_a_success_that_a_failing_sibling_overwrites(fail_fast: str, explained: str) -> None:
    small = Small("running", fail_fast=fail_fast)
    sibling = feeds.Task("22222222-2222-4222-8222-222222222222", "r", "d", "u", "running")
    small.commit("scheduler-1", feeds.task_insert(sibling), xid=0)
    small.move("api-server", "success").acknowledged()
    small.commit("api-server", feeds.task_change(sibling, "failed"))
    small.move("api-server", "failed")
    assert small.found() == [("lost_acknowledged_write", explained)]


def test_a_larger_cap_counts_from_its_change_on_and_a_smaller_one_does_not() -> None:
    small = Small()
    for number, cap in ((2, None), (3, "3"), (4, "1"), (5, None)):
        if cap is not None:
            small.commit("", RowChange("dag", "update", ("d",), {"max_active_runs": cap}))
        small.commit("api-server", feeds.run_insert(str(number), "d", f"r{number}"))
        small.commit("scheduler-1", RowChange("dag_run", "update", (str(number),), {"state": "running"}))
    assert small.found() == []


def test_backfills_have_a_cap_of_their_own() -> None:
    small = Small()
    small.commit("api-server", RowChange("backfill", "insert", ("7",), {"max_active_runs": "1"}))
    for number in (2, 3):
        insert = feeds.run_insert(str(number), "d", f"r{number}")
        small.commit("api-server", RowChange("dag_run", "insert", insert.key, {**insert.columns, "backfill_id": "7"}))
        small.commit("scheduler-1", RowChange("dag_run", "update", (str(number),), {"state": "running"}))
    assert small.found() == [("cap_exceeded", "")]


def test_a_refresh_leaves_out_what_has_no_state_until_3_3() -> None:
    for release, found in (("3.3.2", []), ("3.4.0b2", [("stale_version", "")])):
        small = Small(None)
        other = feeds.Task("22222222-2222-4222-8222-222222222222", "r", "d", "u", "running")
        small.commit("scheduler-1", feeds.task_insert(other), xid=0)
        refresh = RowChange("task_instance", "update", (other.id,), {"dag_version_id": "v2"})
        assert small.commit("scheduler-1", refresh).found(release) == found


def test_a_row_that_the_feed_never_showed_is_not_judged() -> None:
    small = Small()
    unseen = ("33333333-3333-4333-8333-333333333333",)
    small.commit("planted", RowChange("task_instance", "update", unseen, {"state": "running"}))
    assert small.found() == []
    small.commit("planted", RowChange("task_instance", "update", unseen, {"state": "queued"}))
    assert small.found() == [("illegal_transition", "")]


def test_an_ended_run_is_still_judged_after_it_was_folded() -> None:
    small = Small("running").move("api-server", "success").acknowledged().run("scheduler-1", "success")
    small.now += 100.0
    small.commit("", RowChange("job", "insert", ("9",), {"state": "running"}))
    small.move("planted", "failed")
    assert small.found() == [("lost_acknowledged_write", "")]


@pytest.mark.parametrize("after_s", [1.0, 100.0])
def test_a_clear_of_a_run_that_ended_is_lost_before_and_after_it_was_folded(after_s: float) -> None:
    small = Small("running").move("api-server", "success").run("scheduler-1", "success")
    small.now += after_s
    small.commit("", RowChange("job", "insert", ("9",), {"state": "running"}))
    small.asked("clear_task")
    successor = feeds.Task("44444444-4444-4444-8444-444444444444", "r", "d", "t")
    archive = RowChange("task_instance", "update", (TI,), {"working_set": None})
    small.commit("api-server", archive, feeds.task_insert(successor, working_set="t"))
    assert small.found("3.4.0b2") == [("lost_clear", "lost_clear")]


def test_a_witness_has_the_changes_of_the_rows_before_and_after() -> None:
    small = Small("scheduled").move("scheduler-1", "queued").move("planted", "success").move("scheduler-1", "removed")
    small.commit("other", RowChange("job", "insert", ("9",), {}))
    (anomaly,) = small.check().anomalies
    assert anomaly.checker is CheckerName.ILLEGAL_TRANSITION
    assert anomaly.writer == "planted"
    assert [(step.writer, step.change.columns.get("state")) for step in anomaly.steps][-3:] == [
        ("scheduler-1", "queued"),
        ("planted", "success"),
        ("scheduler-1", "removed"),
    ]


def _changes(seed: int, count: int) -> Sequence[Anomaly]:
    """The anomalies of a feed of random changes: the model accepts each of them."""
    chance = random.Random(seed)  # noqa: S311 - the same feed again for the same seed
    small = Small()
    for _ in range(count):
        states = [None, "scheduled", "queued", "running", "deferred", "success", "failed", "removed"]
        table, key = chance.choice((("task_instance", TI), ("dag_run", "1"), ("trigger", "1"), ("callback", "1")))
        columns: dict[str, str | None] = {"state": chance.choice(states)}
        for name in ("try_number", "pid", "trigger_id", "triggerer_id", "dag_version_id", "pool", "pool_slots"):
            if chance.random() < 0.2:
                columns[name] = str(chance.randrange(3))
        if chance.random() < 0.1:
            columns["working_set"] = None
        small.commit(
            chance.choice(("", "scheduler-1", "api-server", "planted")),
            RowChange(table, chance.choice(("update", "update", "insert", "delete")), (key,), columns),
        )
    return small.check(chance.choice(("3.1.8", "3.2.1", "3.3.2", "3.4.0b2"))).anomalies


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 60))
def test_no_feed_makes_the_model_fail(seed: int, count: int) -> None:
    assert all(anomaly.what and anomaly.steps is not None for anomaly in _changes(seed, count))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), archives=st.booleans())
def test_no_clean_feed_has_an_anomaly(seed: int, archives: bool) -> None:
    feed = feeds.clean(seed, 8, archives=archives)
    findings = check(feed.transactions, feed.answers, "3.4.0b2" if archives else "3.2.1")
    assert [anomaly.what for anomaly in findings.anomalies] == []
