"""The test: whole blocks are permuted between two arms, for all races at once. Pure arithmetic; knows no race by name.

The block is the unit. Incidents inside a block are not independent (one runner that dies produces several, and some
cluster starts differ as a whole), so a block counts as one observation, however many incidents it has.

*Statistic.* For one race and one way to deal the blocks out to the arms: t / (t + c), where t and c are incidents per
opportunity under test and on control. It lies between 0 and 1, and is 0 for every deal that gives the arm under test
only blocks without an incident, so that such deals tie. The test is one-sided: a lower value speaks for a repair.

*Joint p-values.* The same deals are used for all races, so that the dependence between races is kept. The adjusted
p-value is the step-down minP of Westfall and Young ("Resampling-Based Multiple Testing", 1993, algorithm 2.8): it
controls the probability of any false rejection among the races, at no price where the blocks of the races agree. The
least p of 5 + 4 blocks is 1/126 for every race at once; Holm's correction would make it 3/126 for three.

*Exactness.* Every deal is tried up to `MAX_DEALS`; above, `DRAWN` deals are drawn with a fixed seed, and the observed
deal counts as one of them (Phipson and Smyth, "Permutation p-values should never be zero", 2010).

The p-values assume that the blocks of both arms are exchangeable where the arms do not differ. Drawing the order of the
arms in each pair of blocks from the seed makes that hold for drifts that are slow against a pair. It does not cover a
rhythm of exactly two blocks.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_DEALS = 50_000
"""Up to here every way to deal out the blocks is tried: 9 + 9 blocks have 48,620."""

DRAWN = 20_000
"""Deals drawn where there are more: at p = 0.01 the standard error of drawing is 0.0007."""

ROUGH = 2_000
"""The same for a p that is only reported: it cannot reject anything, so a standard error of 0.005 at 0.05 will do."""

_TIE = 1e-12  # statistics closer than this are ties: they are quotients of the same integers

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PValues:
    """One-sided p of one race: by itself, and adjusted for all races that were tested with it."""

    raw: float
    adjusted: float


def joint_p(
    incidents: npt.ArrayLike, opportunities: npt.ArrayLike, under_test: npt.ArrayLike, *, rough: bool = False
) -> list[PValues | None]:
    """p-values of each race. A row of the first two is a block, a column a race; `under_test` says whose a block is.
    `rough` tries fewer deals where the result decides nothing.

    None for a race that cannot be compared: no incident at all, or an arm without an opportunity. A race that cannot be
    compared does not change the p of the others.
    """
    counts, chances = np.asarray(incidents, dtype=np.float64), np.asarray(opportunities, dtype=np.float64)
    test = np.asarray(under_test, dtype=bool)
    if counts.size == 0 or not test.any() or test.all():
        return [None] * (counts.shape[1] if counts.ndim == 2 else 0)
    comparable = [
        bool(counts[:, race].any() and chances[test, race].sum() and chances[~test, race].sum())
        for race in range(counts.shape[1])
    ]
    found: list[PValues | None] = [None] * len(comparable)
    chosen = [race for race, yes in enumerate(comparable) if yes]
    if chosen:
        deals = _deals(test, most=ROUGH if rough else MAX_DEALS, drawn=ROUGH if rough else DRAWN)
        values = _statistics(counts[:, chosen], chances[:, chosen], deals)
        drawn = len(deals) < math.comb(len(test), int(test.sum()))
        for race, p in zip(chosen, step_down(values), strict=True):
            found[race] = _sharpened(p, counts[:, race], chances[:, race], test, len(chosen)) if drawn else p
    return found


def _sharpened(p: PValues, counts: Floats, chances: Floats, test: npt.NDArray[np.bool_], races: int) -> PValues:
    """Replace a drawn p by the exact one where counting is enough: an arm under test without an incident.

    Drawn deals cannot show a p below one over their number. The exact raw p times the number of races (Bonferroni) is
    an upper bound of the adjusted one.
    """
    if counts[test].any() or not (chances > 0).all():
        return p
    raw = least_p(int((~test).sum()), int(test.sum()), int((counts[~test] == 0).sum()))
    return PValues(raw, min(p.adjusted, races * raw))


def step_down(values: Floats) -> list[PValues]:
    """Westfall and Young's step-down minP. A row of `values` is a deal, the first the observed one; a column a test.

    Low values speak against the null hypothesis of their column.
    """
    deals = len(values)
    ranks = np.empty_like(values)
    for column in range(values.shape[1]):
        ordered = np.sort(values[:, column])
        ranks[:, column] = np.searchsorted(ordered, values[:, column] + _TIE, side="right") / deals
    raw = ranks[0]
    order = np.argsort(raw, kind="stable")
    # The least p over this and all less significant tests, for each deal: the best that chance offers among the rest.
    least = np.minimum.accumulate(ranks[:, order][:, ::-1], axis=1)[:, ::-1]
    adjusted = np.maximum.accumulate([float(np.mean(least[:, i] <= raw[j] + _TIE)) for i, j in enumerate(order)])
    found = [PValues(1.0, 1.0)] * len(raw)
    for place, column in enumerate(order):
        found[column] = PValues(float(raw[column]), float(adjusted[place]))
    return found


def deals_of(under_test: npt.NDArray[np.bool_]) -> Floats:
    """The deals of these blocks, a row each, 1 for a block under test; the first is the observed one."""
    return _deals(under_test, most=MAX_DEALS, drawn=DRAWN)


def least_p(control: int, under_test: int, clean_control: int = 0) -> float:
    """The p of an arm without incidents, where `clean_control` of the control's blocks have none either."""
    return math.comb(under_test + clean_control, under_test) / math.comb(control + under_test, under_test)


def _deals(observed: npt.NDArray[np.bool_], *, most: int, drawn: int) -> Floats:
    """A row for each deal, 1 for a block under test; the observed deal is the first row."""
    blocks, on_test = len(observed), int(observed.sum())
    if math.comb(blocks, on_test) <= most:
        deals = _all_deals(blocks, on_test).copy()
        place = int(np.flatnonzero((deals == observed).all(axis=1))[0])
        deals[[0, place]] = deals[[place, 0]]
        return deals
    return np.concatenate((observed.astype(np.float64)[np.newaxis, :], _drawn_deals(blocks, on_test, drawn)))


@functools.lru_cache(maxsize=4)
def _drawn_deals(blocks: int, on_test: int, drawn: int) -> Floats:
    rng = np.random.default_rng(0)
    row = (np.arange(blocks) < on_test).astype(np.float64)
    return rng.permuted(np.tile(row, (drawn, 1)), axis=1)


@functools.lru_cache(maxsize=16)
def _all_deals(blocks: int, on_test: int) -> Floats:
    ways = math.comb(blocks, on_test)
    flat = itertools.chain.from_iterable(itertools.combinations(range(blocks), on_test))
    places = np.fromiter(flat, dtype=np.int64, count=ways * on_test).reshape(ways, on_test)
    deals: Floats = np.zeros((ways, blocks))
    np.put_along_axis(deals, places, 1.0, axis=1)
    return deals


def _statistics(counts: Floats, chances: Floats, deals: Floats) -> Floats:
    """t / (t + c) for each deal and race. A deal that leaves an arm without opportunities counts as the most extreme,
    which can only make p larger."""
    test_counts, test_chances = deals @ counts, deals @ chances
    rest_counts, rest_chances = counts.sum(axis=0) - test_counts, chances.sum(axis=0) - test_chances
    t = test_counts * rest_chances
    c = rest_counts * test_chances
    with np.errstate(divide="ignore", invalid="ignore"):
        share = t / (t + c)
    return np.where((test_chances > 0) & (rest_chances > 0), share, -np.inf)
