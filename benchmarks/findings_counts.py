"""What `findings_under_load.py` counts, from its audit table, the workers' records, the receipts and the deadlocks."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import binomtest

from stress import events

TOGETHER_S = 0.1
"""Two tasks that end within this time end together."""

_IDS = "SELECT id::text, dag_id, run_id FROM task_instance UNION SELECT id, dag_id, run_id FROM findings_audit"
_FAILED = "SELECT id::text FROM task_instance WHERE state = 'failed'"
# Successes that were overwritten by the failure of another task.
_OVERWRITTEN = """
SELECT count(*) FROM findings_audit
WHERE kind = 'task' AND dag_id = 'fail_fast_mixed' AND before = 'success' AND after IN ('failed', 'skipped')
"""
# Deferred tasks that a user marked, and those that were scheduled after it.
_MARKED = """
SELECT count(*) FILTER (WHERE before = 'deferred' AND after = 'failed'),
       count(DISTINCT id) FILTER (WHERE before = 'failed' AND after = 'scheduled')
FROM findings_audit WHERE kind = 'task' AND dag_id = 'marked'
"""
# Tasks that were woken by their trigger or their time-out, and rows that are of both.
_TIMED_OUT = """
SELECT count(*) FILTER (WHERE before = 'deferred' AND after = 'scheduled'),
       count(DISTINCT id) FILTER (WHERE next_method = '__fail__' AND next_kwargs LIKE '%"event"%')
FROM findings_audit WHERE kind = 'task' AND dag_id = 'timed_out'
"""
# Tasks that were cleared as their run ended, and those of them that never ran again.
_CLEARED = """
SELECT (SELECT count(*) FROM findings_audit
        WHERE kind = 'task' AND dag_id = 'cleared' AND before = 'success' AND after IS NULL),
       (SELECT count(*) FROM task_instance t JOIN dag_run r USING (dag_id, run_id)
        WHERE dag_id = 'cleared' AND r.state = 'success' AND t.state IS NULL)
"""
# Callbacks that no scheduler had a place for when it found them: until then both can see them.
_WAITED = """
SELECT DISTINCT a.id FROM findings_audit a JOIN findings_audit b USING (kind, id)
WHERE kind = 'callback' AND a.after = 'pending' AND b.before = 'pending' AND b.after = 'queued' AND a.txid <> b.txid
"""
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_ENDS = ("success", "failed")
Owners = Mapping[str, tuple[str, str]]
"""The DAG and the run of each task instance, of earlier tries, too."""
Ask = Callable[[str], list[tuple[Any, ...]]]
"""Gives a statement to the cluster's database, and gives its rows."""


class Row(NamedTuple):
    """One line of the table."""

    finding: str
    opportunities: int
    occurrences: int
    seconds: float
    counts_as: str


def count(ask: Ask, shared: Path, deadlocks: Sequence[events.DeadlockSeen], seconds: float) -> list[Row]:
    """What happened. `shared` holds what workers and executors wrote; `seconds` is how long the load lasted."""
    owners: Owners = {ti: (dag, run) for ti, dag, run in ask(_IDS)}
    told = [r for r in records(shared / "execution_api") if r.get("reported") in _ENDS]
    first = {record["ti"]: record["t"] - record["s"] for record in reversed(told)}
    by_run, by_dag = defaultdict(list), defaultdict(list)
    for ti, sent in first.items():
        by_run[owners[ti]].append(sent)
        by_dag[owners[ti][0]].append(sent)

    def ends(dag: str) -> int:
        return sum(together(sent) for owner, sent in by_run.items() if owner[0] == dag)

    def updates(prefix: str) -> int:
        return sum(together(sent) for dag, sent in by_dag.items() if dag.startswith(prefix))

    causes = Counter(cause(event, owners) for event in deadlocks)
    failed = {ti for (ti,) in ask(_FAILED)}
    assured = {r["ti"] for r in told if r["reported"] == "success" and r["code"] in (200, 204)}
    producers = {ti for ti in assured if owners[ti][0].startswith(("assets_", "one_asset"))}
    receipts = records(shared / "receipts", "executor_callbacks-*")
    given = Counter(receipt["callback"] for receipt in receipts)
    twice = {callback for callback, times in given.items() if times > 1}
    waited = {callback for (callback,) in ask(_WAITED)}
    overwritten = ask(_OVERWRITTEN)[0][0]
    marks, timeouts, clears = (ask(statement)[0] for statement in (_MARKED, _TIMED_OUT, _CLEARED))
    found: list[tuple[str, int, int, str]] = [
        ("asset deadlock: two outlets, two consumers", updates("assets_"), causes.pop("assets", 0), "deadlock"),
        ("asset deadlock: one outlet, four consumers", updates("one_asset"), causes.pop("one_asset", 0), "deadlock"),
        ("asset update: false failure", len(producers), len(producers & failed), "told 204, stored as failed"),
        ("fail_fast: overwrite", ends("fail_fast_mixed"), overwritten, "success -> failed"),
        ("fail_fast: failure + success", ends("fail_fast_mixed"), causes.pop("fail_fast_mixed", 0), "deadlock"),
        ("fail_fast: failure + failure", ends("fail_fast_both"), causes.pop("fail_fast_both", 0), "deadlock"),
        ("event for a task marked failed", *marks, "failed -> scheduled"),
        ("event and time-out", *timeouts, "a row with the failure's method and the event"),
        ("clearing as a run ends", *clears, "the run is success, the cleared task never runs"),
        ("synchronous callback twice", len(given), len(twice), "two executors were given it"),
        ("the same, if it had to wait for a place", len(waited), len(twice & waited), "two executors were given it"),
    ]
    found += [(f"other: {what}", 0, number, "deadlock") for what, number in causes.items()]
    return [Row(finding, out_of, number, seconds, text) for finding, out_of, number, text in found]


def records(directory: Path, pattern: str = "*.jsonl") -> list[dict[str, Any]]:
    """What the processes of a run have left, one JSON object a line, in the order of time."""
    lines = (line for path in directory.glob(pattern) for line in path.read_text().splitlines())
    return sorted(map(json.loads, lines), key=lambda record: float(record["t"]))


def together(moments: Iterable[float]) -> int:
    """How often two that follow one another are no further apart than `TOGETHER_S`."""
    return sum(later - earlier <= TOGETHER_S for earlier, later in itertools.pairwise(sorted(moments)))


def cause(event: events.DeadlockSeen, owners: Owners) -> str:
    """The finding that a deadlock belongs to: by the consumers or the task instances in its statements."""
    text = " ".join(side.statement for side in event.sides)
    if "asset_dag_run_queue" in text:
        return "one_asset" if "one_asset_consumer" in text else "assets"
    dags = {owners[ti][0] for ti in _UUID.findall(text) if ti in owners}
    if len(dags) == 1 and (dag := dags.pop()).startswith("fail_fast"):
        return dag
    return " <> ".join(sorted(f"{side.component.split('-')[0]}: {side.signature}" for side in event.sides))


def show(version: str, table: Sequence[Row]) -> None:
    """Print the table; the interval is the exact one of 95 %."""
    print(f"\n{'finding':43} {'release':7} {'of':>6} {'seen':>5} {'95 %':>15} {'s':>4}  counts as")
    for row in table:
        interval = ""
        if 0 < row.opportunities >= row.occurrences:
            bounds = binomtest(row.occurrences, row.opportunities).proportion_ci()
            interval = f"{100 * bounds.low:.2f}-{100 * bounds.high:.2f} %"
        line = (
            f"{row.finding:43} {version:7} {row.opportunities:6} {row.occurrences:5} {interval:>15} {row.seconds:4.0f}"
        )
        print(f"{line}  {row.counts_as}")
