"""How often are costs of equal arms shown as different, and how often is a slower arm shown?

    python -m benchmarks.cost_intervals tests/unit/block_noise.json     the values of blocks that are kept here
    python -m benchmarks.cost_intervals RUN_DIR...                      stored runs of one arm against itself
    python -m benchmarks.cost_intervals --values RUN_DIR...             print the values of their blocks, and no more

Each run is judged again and again with new labels, which are drawn as a run draws them. The blocks keep their values,
so that the noise is that of real blocks, with the dependence between costs. A slower arm is one whose every cost is
`SLOWER` times as high.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stress import history
from stress.checkers.view import BlockView
from stress.judge.costs import MEASURES, costs_of
from stress.judge.harm import BlockCosts, Measure
from stress.judge.ratios import LEVEL, changes
from stress.results import CostChange

SLOWER = 1.3
QUIET = 0.1
"""A run is quiet if no other program disturbed single blocks: the CPU time per task varies by less than 10 %."""

FEW = 0.05
"""The share of the cells of five runs that may be shown between equal arms."""

Run = Mapping[str, Sequence[float]]
"""Cost to its value in each block."""


def costs(run: Run) -> list[Measure]:
    """The costs that the run has."""
    return [measure for measure in MEASURES if measure.name in run]


def is_quiet(run: Run) -> bool:
    """Whether the run's blocks are alike."""
    return float(np.std(np.log(run["cpu"]), ddof=1)) < QUIET


def labelled(rng: np.random.Generator, number: int) -> list[bool]:
    """Which blocks are under test: the order in each pair is drawn."""
    drawn: list[bool] = []
    while len(drawn) < number:
        first = bool(rng.random() < 0.5)
        drawn += [first, not first]
    return drawn[:number]


def judged(run: Run, test: Sequence[bool], factor: float = 1.0, level: float = LEVEL) -> tuple[CostChange, ...]:
    """The costs of a run whose arm under test is `factor` times slower."""
    measures = costs(run)

    def value(measure: Measure, block: int) -> float:
        slower = factor if test[block] else 1.0
        return run[measure.name][block] * (slower if measure.worse_if_higher else 1 / slower)

    blocks = [
        BlockCosts(block, "b" if test[block] else "a", {m.name: (value(m, block), 1.0) for m in measures})
        for block in range(len(test))
    ]
    return changes(blocks, measures, control="a", under_test="b", level=level)


def number_shown(run: Run, rng: np.random.Generator, level: float = LEVEL) -> int:
    """Of equal arms: how many costs are shown as different."""
    return sum(cost.verdict != "~" for cost in judged(run, labelled(rng, len(run["cpu"])), level=level))


def is_shown(run: Run, rng: np.random.Generator, level: float = LEVEL) -> bool:
    """Of a slower arm: whether any cost is shown as worse."""
    found = judged(run, labelled(rng, len(run["cpu"])), SLOWER, level)
    return any(cost.verdict == "worse" for cost in found)


def values(directory: Path) -> Run:
    """The values of the complete blocks of a stored run, for each cost that all of them have."""
    stored = history.read(directory / history.FILE_NAME)
    views = [BlockView.of(stored, block) for block in stored.blocks()]
    readings = [costs_of(view).readings for view in views if view.complete]
    names = [measure.name for measure in MEASURES if measure.relative]
    return {
        name: [round(block[name][0] / block[name][1], 4) for block in readings]
        for name in names
        if all(name in block for block in readings)
    }


def main(arguments: Sequence[str]) -> None:
    """Read and print."""
    paths = [Path(argument) for argument in arguments if argument != "--values"]
    runs: list[Run] = []
    for path in paths:
        runs += [values(path)] if path.is_dir() else json.loads(path.read_text())
    if "--values" in arguments:
        print(json.dumps(runs, separators=(",", ":")))
        return
    quiet = [run for run in runs if is_quiet(run)]
    print(f"{len(runs)} runs, {len(quiet)} of them quiet\n")
    print("| | " + " | ".join(f"{level:.0%}".replace("%", " %") for level in (LEVEL, 0.98)) + " |\n|---|---|---|")
    rows: dict[str, list[str]] = {}
    for level in (LEVEL, 0.98):
        rng = np.random.default_rng(9)
        shown = np.array([[number_shown(run, rng, level), len(costs(run))] for run in 200 * runs])
        five = shown[rng.integers(len(shown), size=(20_000, 5))].sum(axis=1)
        for what, share in (
            ("equal arms: costs that are shown", shown[:, 0].sum() / shown[:, 1].sum()),
            (f"equal arms: five runs in which more than {FEW:.0%} are", np.mean(five[:, 0] > FEW * five[:, 1])),
            ("30 % slower: quiet runs that show it", np.mean([is_shown(run, rng, level) for run in 100 * quiet])),
            ("30 % slower: runs that show it", np.mean([is_shown(run, rng, level) for run in 40 * runs])),
        ):
            rows.setdefault(what, []).append(f"{100 * share:.3g} %")
    for what, cells in rows.items():
        print(f"| {what.replace('5%', '5 %')} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
