"""How much faster is the cluster without observers? `.venv/bin/python benchmarks/observer_overhead.py [PAIRS]`

Blocks with all observers and blocks with none (but for the count at the end) take turns on the fixed arm, under a load
that the cluster can't keep up with, so that what observing takes is missing from its throughput. Prints task instances
per second of load for each block, and the mean difference with its standard error over pairs.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
from pathlib import Path

import msgspec

from stress import events, history
from stress.checkers.view import BlockView
from stress.cluster.local import LocalRuntime
from stress.interrupt import Interrupt
from stress.judge.history import summary_of
from stress.plan import Options, check
from stress.run.block import Block, Turn
from stress.run.parts import load_of, observers_of
from stress.run.settings import airflow_config, cluster_settings


def main(pairs: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch, Interrupt() as interrupt:
        directory = Path(scratch)
        base = check(Options(arms=("fixed",), out=str(directory / "run")))
        load = msgspec.structs.replace(base.load, churn_first_runs=24, churn_run_period_s=0.5)
        rates: dict[bool, list[float]] = {True: [], False: []}
        journal = history.Journal(directory / history.FILE_NAME)
        runtime = LocalRuntime(base.run_id)
        try:
            prepared = runtime.prepare(base.arms, print)
            for block in range(2 * pairs):
                # A B B A ...: a drift of the machine hits both alike.
                observed = (block % 2 == 0) == (block // 2 % 2 == 0)
                plan = dataclasses.replace(base, load=load, observers=observed)
                logs = directory / str(block)
                logs.mkdir()
                cluster = prepared.open(plan.arms[0], block, logs, cluster_settings(plan))
                entries: list[history.Entry] = []
                record = history.Recorder(journal, block, (entries.append,))
                Block(
                    Turn("fixed", plan.dags, plan.load.seconds, (), drains=False, config=airflow_config(plan, "fixed")),
                    cluster,
                    load_of(plan, cluster, prepared.label, logs),
                    observers_of(plan, cluster, record),
                    record,
                    interrupt,
                    phase=lambda _: None,
                    directory=logs,
                ).run()
                view = BlockView(block, "fixed", tuple(entries))
                assert view.last(events.TasksCounted) is not None, "the block was not counted"
                rates[observed].append(summary_of(view).task_instances / view.load_s)
                who = "observed" if observed else "unseen"
                print(f"block {block}, {who:8}: {rates[observed][-1]:.2f} task instances/s")
        finally:
            runtime.close()
            journal.close()
    pairs_of_rates = zip(rates[True], rates[False], strict=True)
    differences = [100 * (unseen / seen - 1) for seen, unseen in pairs_of_rates]
    error = statistics.stdev(differences) / len(differences) ** 0.5 if pairs > 1 else float("nan")
    mean = statistics.mean(differences)
    print(f"unseen is {mean:+.1f} % (standard error {error:.1f}, {pairs} pairs) faster than observed")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
