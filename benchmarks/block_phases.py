"""What does the time of a run go into? `.venv/bin/python benchmarks/block_phases.py RUN_DIR...`

Prints, for each arm of the given runs, the median and the longest time of each phase of a block, the whole block, and
when the first incident of each race came, in seconds of load.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from pathlib import Path

from stress import events, history
from stress.checkers.view import BlockView
from stress.phases import PHASES
from stress.races.registry import check


def main(directories: list[Path]) -> None:
    """Read and print."""
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    firsts: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for directory in directories:
        kept = history.read(directory / history.FILE_NAME)
        (races,) = (entry.event.races for entry in kept.entries if isinstance(entry.event, events.RunPlanned))
        for block in kept.blocks():
            view = BlockView.of(kept, block)
            arm = view.arm
            phases = {event.phase: event.seconds for _, event in view.all(events.PhaseEnded)}
            for phase, seconds in {**phases, "block": sum(phases.values())}.items():
                times[arm][phase].append(seconds)
            for race in races:
                found = check(race, view)
                counts[arm][race].append(len(found.incidents))
                firsts[arm][race].append(min((incident.at_s for incident in found.incidents), default=None))
    for arm, of_arm in times.items():
        print(f"{arm}: {len(of_arm['block'])} blocks\n{'phase':12} {'median s':>9} {'longest s':>10}")
        for phase in (*PHASES, "block"):
            if of_arm[phase]:
                print(f"{phase:12} {statistics.median(of_arm[phase]):9.1f} {max(of_arm[phase]):10.1f}")
        for race in counts[arm]:
            listed = ", ".join("-" if first is None else f"{first:.1f}" for first in firsts[arm][race])
            print(f"{race}: incidents {counts[arm][race]}, the first after {listed} s")
        print()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([Path(argument) for argument in sys.argv[1:]])
