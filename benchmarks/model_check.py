"""What it takes to check a long change feed: seconds, and the largest memory.

    PYTHONPATH=. .venv/bin/python benchmarks/model_check.py 5000000 feed.jsonl

If the file is missing, it is made from a seed, with at least so many transactions: chains of tasks, deferrals and
clears without any anomaly. It is checked in a separate process, from the file, as a judged run reads it. The CPU time
is what the check needs on a machine with nothing else to do.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stress import events
from stress.events import AnyEvent, TransactionCommitted
from stress.history import Entry, sealed, stream
from stress.model import check
from tests.unit import feeds

RUNS_AT_A_TIME = 1000
ACKNOWLEDGED_AT_A_TIME = 50


def generate(transactions: int, path: Path) -> None:
    """Write the feed, and the answers beside it, without holding either."""
    writer = feeds.Writer(1)
    encoder = msgspec.json.Encoder()
    written = 0
    with path.open("wb") as feed, path.with_suffix(".answers").open("wb") as answers:

        def write(transaction: TransactionCommitted) -> None:
            nonlocal written
            feed.write(sealed(encoder.encode(Entry(written, transaction.at, 0, transaction))))
            written += 1

        write(writer.snapshot())
        first = 0
        while written < transactions:
            for transaction in feeds.interleaved(writer, RUNS_AT_A_TIME, first):
                write(transaction)
            first += RUNS_AT_A_TIME
            for at in range(0, len(writer.acknowledged), ACKNOWLEDGED_AT_A_TIME):
                some = writer.acknowledged[at : at + ACKNOWLEDGED_AT_A_TIME]
                event = events.SuccessAcknowledged(
                    task_instances=[id_ for id_, _, _ in some], answered=[(sent, done) for _, sent, done in some]
                )
                answers.write(encoder.encode(event) + b"\n")
            for request in writer.requests:
                answers.write(encoder.encode(request) + b"\n")
            writer.acknowledged.clear()
            writer.requests.clear()


def measure(path: Path) -> dict[str, object]:
    """Check the file in this process."""
    began, cpu = time.monotonic(), time.process_time()
    findings = check(_transactions(path), _answers(path), "3.3.2")
    return {
        "transitions": dict(findings.transitions),
        "anomalies": findings.found.total(),
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _transactions(path: Path) -> Iterator[TransactionCommitted]:
    for entry in stream(path):
        assert isinstance(entry.event, TransactionCommitted)
        yield entry.event


def _answers(path: Path) -> Iterator[tuple[float, AnyEvent]]:
    decoder = msgspec.json.Decoder(AnyEvent)
    with path.with_suffix(".answers").open("rb") as file:
        for line in file:
            yield feeds.EPOCH, decoder.decode(line)


def main() -> None:
    """Generate, if asked for a number, and measure in a separate process."""
    if sys.argv[1] == "measure":
        print(json.dumps(measure(Path(sys.argv[2]))))
        return
    path = Path(sys.argv[2])
    if not path.exists():
        generate(int(sys.argv[1]), path)
    subprocess.run([sys.executable, __file__, "measure", str(path)], check=True)


if __name__ == "__main__":
    main()
