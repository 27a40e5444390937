"""How fast is a long feed read, and with how much memory? `.venv/bin/python benchmarks/feed_reading.py [EVENTS]`

Writes a compressed feed file of so many transactions (5 million by default), each with an update of a task instance as
the load makes them, and reads it once as checkers do. Prints the file's size, the seconds and the peak of the memory.
"""

from __future__ import annotations

import gzip
import resource
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from stress import feed
from stress.events import RowChange, TransactionCommitted
from stress.history import Entry, sealed

_STATES = ("scheduled", "queued", "running", "success")


def main(count: int) -> None:
    """Write, read and print."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / feed.DIRECTORY).mkdir()
        path = directory / feed.DIRECTORY / "0.jsonl.gz"
        encoder = msgspec.json.Encoder()
        with gzip.open(path, "wb", 1) as file:
            for seq in range(count):
                file.write(sealed(encoder.encode(Entry(seq, 1795628949.903441 + seq / 500, 0, _transaction(seq)))))
        began, cpu = time.perf_counter(), time.process_time()
        changes = sum(len(transaction.changes) for transaction in feed.transactions(directory, 0, count))
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size_mb = path.stat().st_size / 1e6
        print(f"{count:,} transactions with {changes:,} changes, {size_mb:.0f} MB compressed:")
        print(f"read in {seconds:.1f} s ({cpu_s:.1f} CPU s), peak of the memory {peak_mb:.0f} MB")


def _transaction(seq: int) -> TransactionCommitted:
    task, step = divmod(seq, len(_STATES))
    columns: dict[str, str | None] = {
        "state": _STATES[step],
        "hostname": "scheduler-1",
        "queued_dttm": f"2026-11-25 17:49:{seq % 60:02}.131386+00",
    }
    key = f"019dc4e2-91aa-7c31-8f3e-{task:012x}"
    change = RowChange("task_instance", "update", (key,), columns)
    return TransactionCommitted(
        xid=700 + seq, lsn=27_000_000 + 700 * seq, at=1795628949.9 + seq / 500, writer="scheduler-1", changes=(change,)
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000)
