"""What components answered, and what users asked for: the other half of every promise.

Times are unix seconds. The answers' clock is the harness's, the feed's is PostgreSQL's: `SLACK_S` covers their
difference and the time between a commit and the answer that reports it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from stress import events
from stress.events import AnyEvent

SLACK_S = 0.5
UNANSWERED_S = 120.0
"""How long a request without an answer can still take effect."""

FAULT_S = 90.0
"""How long a fault has effects on who owns what: thresholds of heartbeats are 30 s, and an adoption takes a while."""

Acknowledgement = tuple[float, float]
"""When the report was made, and when it was answered."""


def number_of(id: str) -> int:  # noqa: A002 - the column's name
    """A compact key of a UUID."""
    try:
        return int(id.replace("-", ""), 16)
    except ValueError:
        return hash(id)


class Answers:
    """An index of the events of one block that are not of the feed."""

    def __init__(self, found: Iterable[tuple[float, AnyEvent]]) -> None:
        """`found`: events with the time of their writing."""
        self.successes: dict[int, Acknowledgement] = {}
        """Successes of workers that were answered as stored, by the attempt's number."""
        self.failures: set[int] = set()
        self.refused: set[int] = set()
        """Attempts that were refused a start or a report, which ends their worker without success."""
        self.workers_seen = False
        """Whether the answers to workers are known, as they are of hollow workers."""
        self.double_starts: list[events.DoubleStart] = []
        self.blind: list[str] = []
        self._requests: dict[tuple[str, str], list[events.RequestAnswered]] = defaultdict(list)
        self._unanswered: dict[tuple[float, str, str, str, str], events.RequestSent] = {}
        self._faults: list[tuple[float, float]] = []
        for t, event in found:
            self._note(t, event)
        for sent in self._unanswered.values():
            self._requests[sent.dag, sent.run].append(
                events.RequestAnswered(
                    at=sent.sent_at,
                    sent_at=sent.sent_at,
                    request=sent.request,
                    dag=sent.dag,
                    run=sent.run,
                    task=sent.task,
                    state=sent.state,
                    code=0,
                )
            )

    def _note(self, t: float, event: AnyEvent) -> None:
        if isinstance(event, events.ApiAnswered):
            self.workers_seen = True
        elif isinstance(event, events.SuccessAcknowledged):
            answered = event.answered or [(0.0, 0.0)] * len(event.task_instances)
            for id_, times in zip(event.task_instances, answered, strict=True):
                self.successes.setdefault(number_of(id_), times)
        elif isinstance(event, events.ReportAnswered):
            if 200 <= event.code < 300 and event.state == "success":
                self.successes[number_of(event.id)] = (event.sent_at, event.at)
            elif 200 <= event.code < 300:
                self.failures.add(number_of(event.id))
        elif isinstance(event, events.WorkerRefused):
            self.refused.add(number_of(event.id))
        elif isinstance(event, events.RequestSent):
            self._unanswered[_same(event)] = event
        elif isinstance(event, events.RequestAnswered):
            self._unanswered.pop(_same(event), None)
            self._requests[event.dag, event.run].append(event)
        elif isinstance(event, events.DoubleStart):
            self.double_starts.append(event)
        elif isinstance(event, events.FaultInjected):
            self._faults.append((t, t + event.planned_s + FAULT_S))
        elif isinstance(event, events.ObserverBlind) and event.observer in ("load", "execution_api"):
            self.blind.append(f"{event.observer} was blind: {event.reason}")

    def requests(self, dag: str, run: str, at: float) -> list[events.RequestAnswered]:
        """The requests about a run that were in progress at a moment."""
        return [
            request
            for request in self._requests.get((dag, run), ())
            if request.sent_at - SLACK_S <= at <= request.at + (SLACK_S if 0 < request.code < 500 else UNANSWERED_S)
        ]

    def granted(self, dag: str, run: str, at: float) -> bool:
        """Whether one of these requests was answered as done."""
        return any(200 <= request.code < 300 for request in self.requests(dag, run, at))

    def disturbed(self, at: float) -> bool:
        """Whether a fault can explain who owns what at a moment."""
        return any(began - SLACK_S <= at <= end for began, end in self._faults)


def _same(event: events.RequestSent | events.RequestAnswered) -> tuple[float, str, str, str, str]:
    """What a request and its answer have in common."""
    return event.sent_at, event.request, event.dag, event.run, event.task
