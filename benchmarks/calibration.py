"""How often equal arms are called `removed`, and how soon a removed race is: simulated runs, judged by the product.

    python -m benchmarks.calibration                 the table of benchmarks/README.md
    python -m benchmarks.calibration --runs 2000     quicker
    python -m benchmarks.calibration --every-block   the same with a look after every block at 1 %, for comparison

A simulated run has up to 24 blocks, the order of the arms drawn in each pair, and stops where a run stops. On equal
arms each generator draws three races at the rates in `RATES`, so that the worst rate is seen; a run is wrong if any of
its races is called `removed`. Runs in which no race can be removed at any look (incidents under test, or too many clean
blocks on control) are counted without judging them; a test compares that filter with the judge.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from stress.judge import evidence, experiment, looks
from stress.judge.experiment import CountedBlock, Experiment, judge_experiment
from stress.judge.permutation import least_p
from stress.judge.verdicts import overall
from stress.results import RaceState, RaceVerdict, Verdict

BLOCKS = 24
RACES = ("x", "y", "z")
CHANCES = 192
RATES = (0.1, 0.2, 0.3, 0.5, 0.8, 1.3)
"""Mean events a block: bursts where incidents come in bursts. High rates never leave all blocks under test clean."""

Counts = npt.NDArray[np.int64]
Generator = Callable[[np.random.Generator, int, float], Counts]
"""Random generator, number of runs and rate to incidents, an array of (runs, blocks, races)."""


def _independent(rng: np.random.Generator, runs: int, rate: float) -> Counts:
    return rng.poisson(rate, (runs, BLOCKS, len(RACES)))


def _bursts(size: int) -> Generator:
    return lambda rng, runs, rate: size * rng.poisson(rate, (runs, BLOCKS, len(RACES)))


def _block_wise(rng: np.random.Generator, runs: int, rate: float) -> Counts:
    """A block is wholly bad for all races, or clean: a common cause."""
    bad = rng.random((runs, BLOCKS, 1)) < 1 - np.exp(-rate)
    return np.where(bad, rng.integers(50, CHANCES, (runs, BLOCKS, len(RACES))), 0)


def _separate_blocks(rng: np.random.Generator, runs: int, rate: float) -> Counts:
    """The same, each race by itself."""
    bad = rng.random((runs, BLOCKS, len(RACES))) < 1 - np.exp(-rate)
    return np.where(bad, rng.integers(50, CHANCES, (runs, BLOCKS, len(RACES))), 0)


def _gamma(rng: np.random.Generator, runs: int, rate: float) -> Counts:
    """Each block has its own rate, variance over mean about 13."""
    return rng.poisson(rng.gamma(rate / 12, 12, (runs, BLOCKS, len(RACES))))


def _drift(factor: float) -> Generator:
    """The rate grows or falls by a factor from the first block to the twelfth."""

    def generate(rng: np.random.Generator, runs: int, rate: float) -> Counts:
        trend = factor ** (np.arange(BLOCKS) / 12) * rate / factor**0.5
        return rng.poisson(np.broadcast_to(trend[None, :, None], (runs, BLOCKS, len(RACES))))

    return generate


def _random_walk(rng: np.random.Generator, runs: int, rate: float) -> Counts:
    """The logarithm of the rate walks at random, shared by all races."""
    steps = rng.normal(0, 0.7, (runs, BLOCKS, 1)).cumsum(axis=1)
    return rng.poisson(np.broadcast_to(np.minimum(rate * np.exp(steps), 500.0), (runs, BLOCKS, len(RACES))))


def _spells(rng: np.random.Generator, runs: int, rate: float) -> Counts:
    """Good and bad spells that last four blocks on average (a two-state Markov chain)."""
    bad = np.empty((runs, BLOCKS, 1), dtype=bool)
    bad[:, 0] = rng.random((runs, 1)) < 0.5
    for block in range(1, BLOCKS):
        bad[:, block] = bad[:, block - 1] ^ (rng.random((runs, 1)) < 0.25)
    return np.where(bad, rng.poisson(4 * rate, (runs, BLOCKS, len(RACES))), 0)


def _heavy(rng: np.random.Generator, runs: int, rate: float) -> Counts:
    """Bursts whose sizes have no variance (Pareto, exponent 1.5)."""
    burst = np.minimum(1 + rng.pareto(1.5, (runs, BLOCKS, len(RACES))), CHANCES).astype(np.int64)
    return rng.poisson(rate, (runs, BLOCKS, len(RACES))) * burst


GENERATORS: dict[str, Generator] = {
    "independent": _independent,
    **{f"bursts of {size}": _bursts(size) for size in (2, 3, 4, 6, 8)},
    "block-wise, all races": _block_wise,
    "block-wise, each race": _separate_blocks,
    "gamma, variance/mean 13": _gamma,
    "drift, up to tenfold": _drift(10),
    "drift, down to a tenth": _drift(0.1),
    "random walk": _random_walk,
    "spells of four blocks": _spells,
    "heavy-tailed bursts": _heavy,
}


@dataclass(frozen=True)
class Share:
    """So many of so many runs."""

    hits: int
    runs: int

    def __str__(self) -> str:
        share = self.hits / self.runs
        return f"{100 * share:.2f} % +- {100 * 1.96 * sqrt(max(share * (1 - share), 1 / self.runs) / self.runs):.2f}"


def orders(rng: np.random.Generator, runs: int) -> npt.NDArray[np.bool_]:
    """Which blocks are under test: one of the two in each pair, drawn."""
    first = rng.random((runs, BLOCKS // 2)) < 0.5
    return np.stack((first, ~first), axis=2).reshape(runs, BLOCKS)


def may_be_removed(counts: Counts, test: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The runs in which some race has no incident under test and few enough clean control blocks at some look."""
    possible = np.zeros(len(counts), dtype=bool)
    for look in looks.looks_until(BLOCKS):
        level = looks.level_at(look) or 0.0
        own, ours = counts[:, :look] > 0, test[:, :look, None]
        seen_on_test = (own & ours).any(axis=1)
        clean = (~own & ~ours).sum(axis=1)
        n_test = test[:, :look].sum(axis=1)
        most = {n: _most_clean(look - n, n, level) for n in set(n_test.tolist())}
        limit = np.array([most[n] for n in n_test.tolist()])[:, None]
        possible |= (~seen_on_test & (clean <= limit)).any(axis=1)
    return possible


def _most_clean(control: int, under_test: int, level: float) -> int:
    fits = [clean for clean in range(control) if least_p(control, under_test, clean) <= level]
    return max(fits, default=-1)


def experiment_of(counts: Counts, test: npt.NDArray[np.bool_]) -> Experiment:
    """One simulated run as `stress judge` takes it."""
    blocks = [
        CountedBlock(
            arm="b" if ours else "a",
            counts={race: (int(min(seen, CHANCES)), CHANCES) for race, seen in zip(RACES, row, strict=True)},
        )
        for ours, row in zip(test, counts, strict=True)
    ]
    return Experiment(control="a", under_test="b", races=list(RACES), blocks=blocks)


def false_removed(generate: Generator, rate: float, runs: int, seed: int) -> Share:
    """The share of runs of equal arms in which any race was called `removed`."""
    rng = np.random.default_rng(seed)
    counts, test = generate(rng, runs, rate), orders(rng, runs)
    hits = 0
    for run in np.flatnonzero(may_be_removed(counts, test)):
        verdicts = judge_experiment(experiment_of(counts[run], test[run]))
        hits += any(verdict.verdict is RaceState.REMOVED for verdict in verdicts.values())
    return Share(hits, runs)


def power(runs: int, seed: int, blocks: int = 10) -> Share:
    """The share of runs that PASS within `blocks` blocks, at the rates of the three races on 3.2.1.

    Deadlocks: 148 of 2,743 state updates in 5 blocks, variance over mean 5. Duplicate callbacks: 928 of 960, blocks
    between 181 and 192. Frames: both runners of a block, each with probability 0.98. The arm under test shows none.
    """
    rng = np.random.default_rng(seed)
    passed = 0
    for _ in range(runs):
        test = orders(rng, 1)[0]
        shown = np.stack(
            (
                rng.poisson(rng.gamma(29.6 / 4, 4, BLOCKS)),
                CHANCES - rng.binomial(11, 0.3, BLOCKS),
                rng.binomial(2, 0.98, BLOCKS),
            ),
            axis=1,
        )
        verdicts = judge_experiment(experiment_of(np.where(test[:, None], 0, shown), test))
        passed += overall(verdicts) is Verdict.PASS and _decided_within(verdicts, blocks)
    return Share(passed, runs)


def _decided_within(verdicts: dict[str, RaceVerdict], blocks: int) -> bool:
    return all(verdict.decided_after is not None and verdict.decided_after <= blocks for verdict in verdicts.values())


def _look_after_every_block() -> None:
    """Replace the plan of looks by one after every block at 1 %: what the plan protects from."""
    for module in (evidence, experiment, looks):
        for name, value in (
            ("level_at", lambda blocks: looks.ALPHA - 1e-12 if blocks >= looks.FIRST else None),
            ("looks_until", lambda blocks: list(range(looks.FIRST, blocks + 1))),
        ):
            if hasattr(module, name):
                setattr(module, name, value)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40_000, help="simulated runs of each generator and rate")
    parser.add_argument("--every-block", action="store_true", help="look after every block at 1 %%")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.every_block:
        _look_after_every_block()
    print("| equal arms, three races | " + " | ".join(f"{rate:g}" for rate in RATES) + " |")
    print("|---|" + "---|" * len(RATES))
    for name, generate in GENERATORS.items():
        shares = [false_removed(generate, rate, options.runs, options.seed + place) for place, rate in enumerate(RATES)]
        print(f"| {name} | " + " | ".join(map(str, shares)) + " |", flush=True)
    print(f"\nPASS within 10 blocks at the rates of 3.2.1: {power(max(1, options.runs // 20), options.seed)}")


if __name__ == "__main__":
    main()
