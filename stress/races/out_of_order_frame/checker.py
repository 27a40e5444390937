"""Out-of-order frames: a trigger runner that lost the order of its exchange with the supervisor is one incident.

One incident is one life of a runner, however many lines its death writes. Each of four signs suffices:

- a **wrong reply**: a trigger asked for its own task's state and the answer was about another task (the trigger's own
  receipt). This depends neither on the text of an error nor on a check that a fix may have removed;
- a **frame error** in the log. The preceding event gives the cause: a trigger that was cancelled while it waited for an
  answer, or a call from a foreign thread;
- a runner that **died** within `DEATH_AFTER_S` of a cancellation in the middle of a request. A death without one is not
  an incident of this race: exits of components are judged as harm;
- a **standstill**. A repair must not replace the broken order by a standstill: a runner that holds polling triggers and
  whose event loop stands still for `LOOP_STOPPED_S`, or which gets no answer for `UNANSWERED_S`, is an incident of this
  race too. Progress is measured by the triggers' own receipts, not by heartbeats, which a triggerer keeps sending while
  its runner is dead. Seconds in which the harness did not run either, because the whole machine stood still, are
  subtracted.

Under faults a runner may stand still, or die, while a fault hits its triggerer or the database and for `AFTER_FAULT_S`
after it was undone and the triggerer was started again; a lost order is an incident under any fault. A runner without
progress after that stays dead. To see it, a block with faults is examined up to the end of its settling, for as long as
the triggerer owns polling triggers in the database, and a runner that never reported progress counts as hung.

Opportunities are cancellations that hit a request in flight, by the receipts of the cancelled triggers: only those can
break the order.
"""

from __future__ import annotations

from stress import events
from stress.checkers.evidence import faults_table
from stress.checkers.view import BlockView, Life, longest_outside
from stress.results import BlockCheck, Incident, Witness, WitnessTable

RACE = "out_of_order_frame"

CANCELLATION = "cancellation"
FOREIGN_THREAD = "foreign_thread"
RUNNER_DIED = "runner_died"
RUNNER_HUNG = "runner_hung"
WRONG_REPLY = "wrong_reply"
UNEXPLAINED = "unexplained"
CAUSES = (CANCELLATION, FOREIGN_THREAD, WRONG_REPLY, RUNNER_DIED, RUNNER_HUNG, UNEXPLAINED)

DEATH_AFTER_S = 5.0
"""Seconds after a cancellation in the middle of a request in which a runner's death counts as its consequence. The
supervisor looks for its runner about once a second."""

LOOP_STOPPED_S = 10.0
"""Seconds without a tick of its event loop after which a runner that holds polling triggers counts as hung. A healthy
runner ticks every half second; the longest gap seen under the default load is in FINDINGS.md."""

UNANSWERED_S = 20.0
"""Seconds in which the loop ticked and not one poll was answered, after which it counts as hung too. Not before its
first answered poll: the supervisor builds its in-process API on the first request, which takes seconds on a busy
machine."""

AFTER_FAULT_S = 20.0
"""Seconds after a fault was undone in which a runner may still stand still: a triggerer that was started again needs
about ten to run its first trigger on two busy cores."""

_BEFORE_S = 10.0
_WITNESS_ROWS = 40


def check(view: BlockView) -> BlockCheck:
    """Count broken lives of runners and cancellations of one block."""
    blind = list(view.blind("component_logs", "receipts"))
    incidents = [incident for life in view.lives("triggerer") if (incident := _broken(view, life)) is not None]
    cancellations = sum(event.in_request for _, event in view.all(events.CancellationDelivered))
    return BlockCheck(RACE, view.block, view.arm, tuple(incidents), cancellations, view.load_s, tuple(blind))


def _broken(view: BlockView, life: Life) -> Incident | None:
    def ours(component: str, at: float) -> bool:
        return component == life.component and life.start <= at <= life.end + 1.0

    errors = [event for _, event in view.all(events.FrameError) if ours(event.component, event.at)]
    frames = [event for event in errors if event.error == "out_of_order"]
    foreign = [event for event in errors if event.error == "foreign_loop"]
    excused = view.excused(life.component, AFTER_FAULT_S)
    deaths = [
        event
        for _, event in view.all(events.RunnerDied)
        if ours(event.component, event.at) and not any(start <= event.at <= end for start, end in excused)
    ]
    cancelled = [event for _, event in view.all(events.CancellationDelivered) if ours(event.component, event.at)]
    if frames:
        first = frames[0]
        before = [event for event in cancelled if first.at - _BEFORE_S <= event.at <= first.at + 1.0]
        in_request = [event for event in before if event.in_request]
        cause = CANCELLATION if in_request else FOREIGN_THREAD if foreign else UNEXPLAINED
        headline = (
            f"{life.component} read frame {first.got} where it expected {first.expected}, "
            f"after {len(before)} cancellations ({len(in_request)} of them in the middle of a request)"
        )
        return _incident(view, first.at, cause, headline, life, errors, deaths)
    if foreign:
        headline = f"{life.component} was called from a foreign thread's event loop"
        return _incident(view, foreign[0].at, FOREIGN_THREAD, headline, life, errors, deaths)
    wrong = [event for _, event in view.all(events.ReplyMisrouted) if ours(event.component, event.at)]
    if wrong:
        reply = wrong[0]
        headline = (
            f"trigger {reply.trigger} of {life.component} asked for the state of {reply.expected} "
            f"and was answered {reply.got}"
        )
        return _incident(view, reply.at, WRONG_REPLY, headline, life, errors, deaths)
    for death in deaths:
        hit = [event for event in cancelled if event.in_request and 0 <= death.at - event.at <= DEATH_AFTER_S]
        if hit:
            headline = (
                f"the trigger runner of {life.component} died {death.at - hit[-1].at:.1f} s after a cancellation "
                "in the middle of a request, without an out-of-order frame"
            )
            return _incident(view, death.at, RUNNER_DIED, headline, life, errors, deaths)
    return _hung(view, life)


def _hung(view: BlockView, life: Life) -> Incident | None:
    """The first standstill of a runner that held polling triggers."""
    excused = view.excused(life.component, AFTER_FAULT_S)
    told = [
        event
        for _, event in view.all(events.TriggersProgressed)
        if event.component == life.component and life.start <= event.at <= life.end
    ]
    if not told:
        return _never_began(view, life, excused)
    horizon = _horizon(view, life)
    answered_at, polls, idle = None, 0, True
    for event, next_at in zip(told, [*(following.at for following in told[1:]), horizon], strict=True):
        following_at = min(next_at, horizon)
        # The wait for an answer begins with the last answer, or with the first question after a time without triggers.
        if event.polls > polls or idle:
            answered_at, polls = event.at, event.polls
        idle = event.active == 0
        if idle:
            continue
        stood, until = longest_outside(event.at, following_at, excused)
        stood_s = until - stood - view.paused_s(stood, until)
        if stood_s >= LOOP_STOPPED_S:
            headline = (
                f"the event loop of {life.component} stood still for {stood_s:.1f} s "
                f"with {event.active} polling triggers, after {event.polls} polls"
            )
            return _incident(view, stood, RUNNER_HUNG, headline, life, [], [])
        if polls and answered_at is not None:
            waited, until = longest_outside(answered_at, following_at, excused)
            waited_s = until - waited - view.paused_s(waited, until)
            if waited_s >= UNANSWERED_S:
                headline = (
                    f"{life.component} got no answer for {waited_s:.1f} s "
                    f"with {event.active} polling triggers, after {polls} polls"
                )
                return _incident(view, waited, RUNNER_HUNG, headline, life, [], [])
    return None


def _horizon(view: BlockView, life: Life) -> float:
    """The time (unix seconds) until which the runner must make progress."""
    # After the load no trigger needs to poll: look no further than the time in which the load could keep it busy.
    load_end = (view.load_started_at or life.end) + view.load_s
    if not view.faults:
        return min(life.end, load_end)
    # Faults are undone when the load is over: continue for as long as a trigger polls.
    owning = [t for t, event in view.all(events.TriggersOwned) if event.owned.get(life.component)]
    return min(life.end, max([load_end, *owning[-1:]]))


def _never_began(view: BlockView, life: Life, excused: list[tuple[float, float]]) -> Incident | None:
    """A runner that was started under faults, owned polling triggers without a break, and never reported one."""
    if not view.faults:
        return None
    since: float | None = None
    for t, event in view.all(events.TriggersOwned):
        if not life.start <= t <= life.end or not event.owned.get(life.component):
            since = None
            continue
        since = t if since is None else since
        start, end = longest_outside(since, t, excused)
        owned_s = end - start - view.paused_s(start, end)
        if owned_s >= UNANSWERED_S:
            headline = (
                f"{life.component} owned {event.owned[life.component]} polling triggers for {owned_s:.1f} s "
                "and ran none of them"
            )
            return _incident(view, start, RUNNER_HUNG, headline, life, [], [])
    return None


def _incident(
    view: BlockView,
    at: float,
    cause: str,
    headline: str,
    life: Life,
    errors: list[events.FrameError],
    deaths: list[events.RunnerDied],
) -> Incident:
    rows: list[tuple[float, str, str]] = [(e.at, "log", e.line) for e in errors]
    rows += [(e.at, "log", "Trigger runner process has died") for e in deaths]
    for _, cancelled in view.all(events.CancellationDelivered):
        if cancelled.component == life.component and abs(cancelled.at - at) <= _BEFORE_S:
            where = "in the middle of a request" if cancelled.in_request else "between requests"
            next_frame = f", next frame id {cancelled.next_frame}" if cancelled.next_frame is not None else ""
            rows.append((cancelled.at, "receipt", f"trigger {cancelled.trigger} cancelled {where}{next_frame}"))
    for _, answer in view.all(events.CancelledAnswer):
        if answer.component == life.component and abs(answer.at - at) <= _BEFORE_S:
            got = f"error {answer.error}" if answer.error else f"state {answer.state}"
            rows.append((answer.at, "receipt", f"trigger {answer.trigger} asked for its task's state: {got}"))
    rows.sort()
    shown = tuple((f"{view.at_s(t):.3f} s", source, text) for t, source, text in rows[:_WITNESS_ROWS])
    caption = "Around the incident" if len(rows) <= _WITNESS_ROWS else f"Around the incident (first of {len(rows)})"
    tables = (WitnessTable(caption, ("time of load", "source", "what"), shown), *faults_table(view, at))
    witness = Witness(headline, tables)
    return Incident(RACE, view.block, view.arm, view.at_s(at), cause, cause, witness)
