"""The statistics: two arms' counts in, one decision per race out. Pure; nothing here knows what a race is.

What it promises
----------------
`removed` is only ever said when the control arm showed the race, the arm under test had the same chance to show it and
never did, and chance explains that in fewer than 1 of 100 runs, over all the races asked for together. Everything that
stands in the way of that sentence makes it `unknown`:

========================================  ==========================================================================
what was found                            state
========================================  ==========================================================================
the fixes did not load in some process    `unknown`, every race: nobody knows which code was compared
an observer was blind                     `unknown`: the counts are lower bounds. What *was* seen is in the reason
incidents under test, p < 0.01            `reduced`
incidents under test, else                `remains`. Incidents are proof by themselves, whatever the control showed:
                                          only `reduced` or `remains` is a matter of statistics
no incidents under test, and
- no opportunity on one of the arms       `unknown`: the race could not have occurred
- none on control                         `unknown`: a race that is not there can't be removed
- opportunities fell below a third        `unknown`: the fix may have starved the race instead of repairing it; the
                                          test allows for fewer opportunities, but not for a calmer system around them
- fewer than three blocks on an arm       `unknown`: too few to see whether incidents cluster
- p < 0.01                                `removed`
- else                                    `unknown`, with about how many more minutes it takes
========================================  ==========================================================================

How p is found
--------------
*Exact.* Given n incidents on both arms together, and equal rates per opportunity, the
number under test is binomial with the share of opportunities under test (Przyborowski and Wilenski, "Homogeneity of
results in testing samples from Poisson series", Biometrika 31, 1940). One-sided, since only a lower rate is a repair.

*Over blocks.* The exact test takes incidents as independent. Where they come in bursts (a runner that dies takes its
neighbours along; some starts are unlucky as a whole), n incidents carry less than n incidents' worth of evidence. So
where the blocks' counts vary more than 1.5 times what independence allows, whole blocks are permuted between the arms
instead, and the statistic is the difference of the pooled rates per opportunity. Its least possible p is one over the
number of ways to deal out the blocks: 1/70 for 4 + 4 blocks, 1/252 for 5 + 5, 1/462 for 5 + 6, so that a race which
clusters needs about five blocks an arm, and more if some of the control's blocks were clean. Either arm may cluster;
the worse one counts.

*The dispersion* is Pearson's chi-squared of the block counts over its degrees of freedom, each block's expectation
being its share of the arm's opportunities. For equal blocks this is just the variance (ddof=1) over the mean; for
unequal ones (the last block was cut short) it doesn't mistake a short block for a burst.

*Holm's correction* runs over all races asked for, those without a p counting as p = 1.

*Looking after every block* (a run goes on until it is decided) costs nothing for `removed` with the exact test: it
needs zero incidents under test, so that the first k incidents have all to fall on control, and that happens once or
never. Its probability is below the same 1 % however often one looks, as long as the arms have alternated. `reduced`
has no such guarantee; it is not a pass either.

What it can't
-------------
Blocks are not randomised but alternate (A B B A), which cancels a steady drift and not one of the blocks' own rhythm.
Three blocks an arm are the least because with two the dispersion is too rough a guess: equal arms whose blocks' rates
were drawn from a gamma distribution (variance over mean 13, three races, judged after every pair of blocks) were called
removed in 2.3 % of simulated runs with two, and in 0.5 % with three. The rate ratio's bound is exact for independent
incidents; for clustered ones the counts are first divided by the dispersion (quasi-likelihood; McCullagh and Nelder,
"Generalized Linear Models", section 4.5), which is an approximation.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import stats

from stress.results import ArmCount, BlockCheck, RaceState, RaceVerdict, Verdict

ALPHA = 0.01
"""Holm-adjusted p below which a difference counts."""

CLUSTERED = 1.5
"""Variance of block counts over their mean above which blocks are permuted instead."""

STARVED = 1 / 3
"""Opportunities under test, per second of load and relative to control, below which a zero is not a repair."""

MIN_BLOCKS = 3
"""Blocks with opportunities that each arm needs: with fewer, clustering goes unseen too often (see above)."""

MAX_PERMUTATIONS = 100_000
"""Up to here every way to deal out the blocks is tried (10 + 10 blocks: 184,756); above, ways are drawn."""

_DRAWN, _DRAWN_BATCH = 20_000, 1_000  # at p = 0.01 / 3 the error of drawing is about 0.0004

_MAX_EXTRA_PAIRS = 1_000  # an estimate beyond this many further pairs of blocks is no help to anybody

_UNITS = MappingProxyType(
    {
        "deadlock": "state updates",
        "duplicate_callback": "missed deadlines",
        "out_of_order_frame": "cancellations",
        "lost_callback": "passed deadlines",
        "stuck_task": "task instances",
    }
)
_NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})


def opportunity_unit(race: str) -> str:
    """What an opportunity of this race is called, in the plural."""
    return _UNITS.get(race, "opportunities")


def judge(
    checks: Sequence[BlockCheck],
    *,
    races: Sequence[str],
    control: str,
    under_test: str,
    block_cost_s: float | None = None,
    unloaded: Mapping[str, Sequence[str]] = _NOTHING,
    interrupted: bool = False,
) -> dict[str, RaceVerdict]:
    """Compare `under_test` with `control` for each of `races`, in their order.

    `block_cost_s` is wall-clock seconds that one more block takes, set-up and settling included; without it estimates
    are of load alone. `unloaded` maps an arm to why its fixes can't be trusted to have been there. `interrupted` only
    changes what the reason of an undecided race says: evidence that suffices does so however the run ended.
    """
    evidence = {race: _gather(checks, race, control, under_test) for race in dict.fromkeys(races)}
    adjusted = holm({race: e.p_value for race, e in evidence.items()})
    distrust = tuple(
        f"{arm}: {reason}" for arm in dict.fromkeys((control, under_test)) for reason in unloaded.get(arm, ())
    )
    return {
        race: _decide(e, adjusted[race], len(evidence), distrust, block_cost_s, interrupted)
        for race, e in evidence.items()
    }


def judge_all(
    checks: Sequence[BlockCheck],
    races: Sequence[str],
    arms: Sequence[str],
    *,
    block_cost_s: float | None = None,
    unloaded: Mapping[str, Sequence[str]] = _NOTHING,
    interrupted: bool = False,
) -> dict[str, RaceVerdict]:
    """The comparison that `results.json` has room for: the last of `arms` against the first, with the counts of all.

    A single arm is its own control: it can show that a race is there, and nothing else.
    """
    judged = judge(
        checks,
        races=races,
        control=arms[0],
        under_test=arms[-1],
        block_cost_s=block_cost_s,
        unloaded=unloaded,
        interrupted=interrupted,
    )
    return {
        race: replace(verdict, arms={arm: count_arm(_blocks_of(checks, race, arm)) for arm in dict.fromkeys(arms)})
        for race, verdict in judged.items()
    }


def judge_each(
    checks: Sequence[BlockCheck],
    races: Sequence[str],
    arms: Sequence[str],
    *,
    block_cost_s: float | None = None,
    unloaded: Mapping[str, Sequence[str]] = _NOTHING,
    interrupted: bool = False,
) -> dict[str, dict[str, RaceVerdict]]:
    """Every further arm against the first, by the name of the arm under test. Holm's correction is within each pair."""
    return {
        arm: judge(
            checks,
            races=races,
            control=arms[0],
            under_test=arm,
            block_cost_s=block_cost_s,
            unloaded=unloaded,
            interrupted=interrupted,
        )
        for arm in arms[1:]
    }


def overall(verdicts: Mapping[str, RaceVerdict], *, interrupted: bool = False) -> Verdict:
    """What the run as a whole says: a race that is still there outweighs one that nobody knows about.

    An interrupted run is never a pass (the contract of exit code 2), though its races may each have been decided.
    """
    states = {verdict.verdict for verdict in verdicts.values()}
    if states & {RaceState.REMAINS, RaceState.REDUCED}:
        return Verdict.FAIL
    if states == {RaceState.REMOVED} and not interrupted:
        return Verdict.PASS
    return Verdict.UNKNOWN


def exit_code(
    verdicts: Mapping[str, RaceVerdict], *, interrupted: bool = False, interrupted_by_signal: int | None = None
) -> int:
    """The process's exit code: 0 all removed, 1 a race remains (or is merely reduced), 2 unknown.

    Where a signal ended the run before there was any evidence, it is the shell's 128 + signal (130, 143).
    """
    if interrupted_by_signal is not None and not has_evidence(verdicts):
        return 128 + interrupted_by_signal
    ended_early = interrupted or interrupted_by_signal is not None
    return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 2}[overall(verdicts, interrupted=ended_early)]


def has_evidence(verdicts: Mapping[str, RaceVerdict]) -> bool:
    """Whether anything at all was counted."""
    return any(count.opportunities or count.incidents for v in verdicts.values() for count in v.arms.values())


def decided(verdicts: Mapping[str, RaceVerdict]) -> bool:
    """Whether a run may stop: more of it would not change what it says of any race."""
    return bool(verdicts) and all(race_decided(verdict, len(verdicts)) for verdict in verdicts.values())


def race_decided(verdict: RaceVerdict, races: int) -> bool:
    """Whether this race needs no more blocks, of `races` asked for.

    `remains` is true from the first incident under test on, but whether it will turn into `reduced` is open for a
    while. It is settled once the incidents seen on both arms together would have been enough for `removed`, had they
    all been on control: a run that could have seen a repair, and did not.
    """
    if verdict.verdict is RaceState.UNKNOWN:
        return False
    if verdict.verdict is not RaceState.REMAINS:
        return True
    control, under_test = verdict.arms[verdict.control], verdict.arms[verdict.under_test]
    incidents = control.incidents + under_test.incidents
    if verdict.control == verdict.under_test or not control.opportunities or not under_test.opportunities:
        return True  # there is nothing to compare, nor will there be: what is known is that it occurs
    return races * exact_p(incidents, control.opportunities, 0, under_test.opportunities) < ALPHA


def exact_p(control_incidents: int, control_opportunities: int, test_incidents: int, test_opportunities: int) -> float:
    """One-sided p that the rate under test is not lower, by the exact conditional test on the two counts."""
    total = control_incidents + test_incidents
    if total == 0:
        return 1.0
    share = test_opportunities / (control_opportunities + test_opportunities)
    return float(stats.binomtest(test_incidents, total, share, alternative="less").pvalue)


def permutation_p(control: Sequence[tuple[int, int]], under_test: Sequence[tuple[int, int]]) -> float:
    """One-sided p that the rate under test is not lower, by dealing out the blocks anew.

    A block is its (incidents, opportunities). Exact up to `MAX_PERMUTATIONS` ways to deal; above, 20,000 are drawn with
    a fixed seed, so that the same run is always judged alike. Blocks without an opportunity and without an incident say
    nothing and are left out.
    """
    on_control, on_test = [b for b in control if any(b)], [b for b in under_test if any(b)]
    if not on_control or not on_test:
        return 1.0
    blocks = np.array(on_test + on_control, dtype=np.int64)
    ours = _rate_differences(blocks, np.arange(len(on_test))[np.newaxis, :])[0]
    exact = math.comb(len(blocks), len(on_test)) <= MAX_PERMUTATIONS
    every_deal = [_all_deals(len(blocks), len(on_test))] if exact else _drawn_deals(len(blocks), len(on_test))
    as_extreme = tried = 0
    for deals in every_deal:
        as_extreme += int(np.count_nonzero(_rate_differences(blocks, deals) <= ours))
        tried += len(deals)
    # Among drawn deals ours counts as one of them, so that p is never 0 (Phipson and Smyth, 2010).
    return as_extreme / tried if exact else (as_extreme + 1) / (tried + 1)


def _all_deals(blocks: int, on_test: int) -> npt.NDArray[np.int64]:
    """A row for each way to choose the blocks of the arm under test."""
    ways = math.comb(blocks, on_test)
    flat = itertools.chain.from_iterable(itertools.combinations(range(blocks), on_test))
    return np.fromiter(flat, dtype=np.int64, count=ways * on_test).reshape(ways, on_test)


def _drawn_deals(blocks: int, on_test: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows drawn at random, in batches: a soak has hundreds of blocks, and all rows at once would take a gigabyte."""
    rng = np.random.default_rng(0)
    in_order = np.tile(np.arange(blocks), (_DRAWN_BATCH, 1))
    for _ in range(_DRAWN // _DRAWN_BATCH):
        yield rng.permuted(in_order, axis=1)[:, :on_test]


def _rate_differences(blocks: npt.NDArray[np.int64], deals: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Rate under test minus rate on control for each deal; columns of `blocks` are incidents and opportunities.

    Sums of integers are exact, so that deals with the same sums tie exactly. A deal that leaves an arm without
    opportunities has no rate: it counts as one as extreme as ours, which can only make p larger.
    """
    test = blocks[deals].sum(axis=1)
    rest = blocks.sum(axis=0) - test
    has_rates = (test[:, 1] > 0) & (rest[:, 1] > 0)
    test_chances, rest_chances = np.maximum(test[:, 1], 1), np.maximum(rest[:, 1], 1)
    return np.where(has_rates, test[:, 0] / test_chances - rest[:, 0] / rest_chances, -np.inf)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's step-down adjustment (Scandinavian Journal of Statistics 6, 1979). No p counts as 1 and stays None."""
    ordered = sorted(p_values, key=lambda name: _or_one(p_values[name]))
    adjusted: dict[str, float | None] = {}
    highest = 0.0
    for rank, name in enumerate(ordered):
        p = p_values[name]
        highest = max(highest, min(1.0, (len(ordered) - rank) * _or_one(p)))
        adjusted[name] = None if p is None else highest
    return {name: adjusted[name] for name in p_values}


def dispersion(blocks: Sequence[tuple[int, int]]) -> float | None:
    """Variance of block counts over their mean, for blocks of (incidents, opportunities); 1 is independence.

    None where it can't be told: fewer than two blocks with opportunities, or no incidents.
    """
    telling = [(seen, chances) for seen, chances in blocks if chances > 0]
    incidents, opportunities = sum(seen for seen, _ in telling), sum(chances for _, chances in telling)
    if len(telling) < 2 or incidents == 0:
        return None
    rate = incidents / opportunities
    chi_squared = sum((seen - rate * chances) ** 2 / (rate * chances) for seen, chances in telling)
    return chi_squared / (len(telling) - 1)


def rate_ratio_upper95(
    control_incidents: int,
    control_opportunities: int,
    test_incidents: int,
    test_opportunities: int,
    overdispersion: float = 1.0,
) -> float | None:
    """One-sided upper 95 % bound of (rate under test / rate on control); None without an incident on control.

    Clopper and Pearson's bound of the binomial share, turned into odds: exact for `overdispersion` 1.
    """
    if control_incidents == 0 or control_opportunities == 0 or test_opportunities == 0:
        return None
    scale = max(1.0, overdispersion)
    share = float(stats.beta.ppf(0.95, test_incidents / scale + 1, control_incidents / scale))
    if share >= 1.0:
        return None
    return share / (1 - share) * control_opportunities / test_opportunities


def count_arm(blocks: Sequence[BlockCheck]) -> ArmCount:
    """One arm's blocks of one race, in order, as one count."""
    first: float | None = None
    elapsed = 0.0
    causes: Counter[str] = Counter()
    for block in blocks:
        causes.update(incident.cause for incident in block.incidents)
        if first is None and block.incidents:
            first = elapsed + min(incident.at_s for incident in block.incidents)
        elapsed += block.exposure_s
    return ArmCount(
        incidents=sum(len(block.incidents) for block in blocks),
        opportunities=sum(block.opportunities for block in blocks),
        exposure_s=elapsed,
        first_incident_s=first,
        causes=dict(causes.most_common()),
    )


def p_text(p: float) -> str:
    """A p-value in plain decimals with two significant digits: `0.34`, `0.000061`, `<0.000001`."""
    if p < 1e-6:
        return "<0.000001"
    if p > 0.995:
        return "1"
    return f"{p:.{max(2, 1 - math.floor(math.log10(p)))}f}"


def p_clause(p: float) -> str:
    """`p=0.34`, or `p<0.000001`."""
    text = p_text(p)
    return f"p{text}" if text.startswith("<") else f"p={text}"


@dataclass(frozen=True)
class _Evidence:
    """What speaks for and against one race; blocks are (incidents, opportunities)."""

    race: str
    control: str
    under_test: str
    counts: Mapping[str, ArmCount]
    control_blocks: tuple[tuple[int, int], ...]
    test_blocks: tuple[tuple[int, int], ...]
    blind: tuple[str, ...]
    p_value: float | None
    clustered: float | None
    """The dispersion that made a permutation test necessary."""

    @property
    def on_control(self) -> ArmCount:
        return self.counts[self.control]

    @property
    def on_test(self) -> ArmCount:
        return self.counts[self.under_test]

    @property
    def enough_blocks(self) -> bool:
        return all(
            sum(1 for _, chances in blocks if chances) >= MIN_BLOCKS
            for blocks in (self.control_blocks, self.test_blocks)
        )

    @property
    def starved(self) -> bool:
        """Whether the arm under test had too few opportunities per second of load to be compared."""
        control, test = self.on_control, self.on_test
        if not control.exposure_s or not test.exposure_s:
            return False
        return test.opportunities / test.exposure_s < STARVED * control.opportunities / control.exposure_s


def _blocks_of(checks: Sequence[BlockCheck], race: str, arm: str) -> list[BlockCheck]:
    return sorted((c for c in checks if c.race == race and c.arm == arm), key=lambda check: check.block)


def _gather(checks: Sequence[BlockCheck], race: str, control: str, under_test: str) -> _Evidence:
    """Count both arms and find p, if the counts can be trusted and compared at all."""
    per_arm = {arm: _blocks_of(checks, race, arm) for arm in (control, under_test)}
    counts = {arm: count_arm(blocks) for arm, blocks in per_arm.items()}
    pairs = {arm: tuple((len(b.incidents), b.opportunities) for b in blocks) for arm, blocks in per_arm.items()}
    blind = tuple(dict.fromkeys(f"{arm}: {why}" for arm, blocks in per_arm.items() for b in blocks for why in b.blind))
    worst = max((dispersion(blocks) or 0.0) for blocks in pairs.values())
    clustered = worst if worst > CLUSTERED else None

    c, t = counts[control], counts[under_test]
    comparable = control != under_test and c.opportunities and t.opportunities and c.incidents + t.incidents
    p_value: float | None = None
    if comparable and not blind:
        p_value = (
            exact_p(c.incidents, c.opportunities, t.incidents, t.opportunities)
            if clustered is None
            else permutation_p(pairs[control], pairs[under_test])
        )
    return _Evidence(
        race=race,
        control=control,
        under_test=under_test,
        counts=counts,
        control_blocks=pairs[control],
        test_blocks=pairs[under_test],
        blind=blind,
        p_value=p_value,
        clustered=clustered,
    )


def _decide(  # noqa: PLR0912 - one branch a row of the table
    e: _Evidence,
    p_adjusted: float | None,
    races: int,
    distrust: tuple[str, ...],
    block_cost_s: float | None,
    interrupted: bool,
) -> RaceVerdict:
    """The table of the module's docstring, top to bottom."""
    unit = opportunity_unit(e.race)
    c, t = e.on_control, e.on_test
    on_test = f"{t.incidents:,} of {t.opportunities:,} {unit} on {e.under_test}"
    on_control = f"{c.incidents:,} of {c.opportunities:,} {unit} on {e.control}"
    both = f"{on_test} against {on_control}"
    trusted = not distrust and not e.blind
    bound = (
        rate_ratio_upper95(c.incidents, c.opportunities, t.incidents, t.opportunities, e.clustered or 1.0)
        if trusted and e.p_value is not None
        else None
    )
    numbers = both
    if p_adjusted is not None:
        numbers += f", {p_clause(p_adjusted)} (Holm x{races})"
        if bound is not None:
            numbers += f", rate ratio < {bound:.2g}"
        if e.clustered is not None:
            numbers += f"; incidents cluster (variance/mean {e.clustered:.1f}), so whole blocks were permuted"
    significant = p_adjusted is not None and p_adjusted < ALPHA and e.enough_blocks
    more_minutes: float | None = None

    if distrust:
        state, why = RaceState.UNKNOWN, f"fixes not loaded as asked for ({_shorten(distrust)}); {both}"
    elif e.blind:
        state, why = RaceState.UNKNOWN, f"an observer was blind ({_shorten(e.blind)}), counts are lower bounds: {both}"
    elif t.incidents and e.control == e.under_test:
        state, why = RaceState.REMAINS, f"{on_test}; no second arm to compare with"
    elif t.incidents and significant:
        state, why = RaceState.REDUCED, numbers
    elif t.incidents:
        state, why = RaceState.REMAINS, numbers
    elif e.control == e.under_test:
        state, why = RaceState.UNKNOWN, f"{on_test}; no second arm to compare with"
    elif not c.opportunities or not t.opportunities:
        without = e.control if not c.opportunities else e.under_test
        state, why = RaceState.UNKNOWN, f"no {unit} on {without}, so the race could not occur there; {both}"
    elif not c.incidents:
        seen_by = f"({on_control}, {_at_most(c.opportunities)}; {on_test}, {_at_most(t.opportunities)})"
        state, why = RaceState.UNKNOWN, f"not seen on either arm {seen_by}. No amount of time decides a rate of 0"
    elif e.starved:
        fell = (t.opportunities / t.exposure_s) / (c.opportunities / c.exposure_s)
        state = RaceState.UNKNOWN
        why = f"{e.under_test} had {fell:.0%} of the {unit} per second that {e.control} had, too few to compare; "
        why += numbers
    elif significant:
        state, why = RaceState.REMOVED, numbers
    else:
        state = RaceState.UNKNOWN
        more_minutes = _more_minutes(e, races, block_cost_s)
        short_of = "too little evidence" if e.enough_blocks else f"needs {MIN_BLOCKS} blocks of each arm"
        why = ("interrupted, " if interrupted else "") + f"{short_of}: {numbers}"
        if more_minutes is not None:
            of_load = "" if block_cost_s is not None else " of load"
            why += f"; about {max(1, round(more_minutes)):,} more minutes{of_load} would decide"

    return RaceVerdict(
        race=e.race,
        verdict=state,
        reason=f"{state}: {why}",
        p_value=e.p_value if trusted else None,
        p_adjusted=p_adjusted if trusted else None,
        rate_ratio_upper95=bound,
        control=e.control,
        under_test=e.under_test,
        arms=e.counts,
        test=None if e.p_value is None or not trusted else ("exact" if e.clustered is None else "permutation"),
        dispersion=dispersion(e.control_blocks),
        more_minutes=more_minutes,
    )


def _more_minutes(e: _Evidence, races: int, block_cost_s: float | None) -> float | None:
    """About how many more minutes until `removed` could be said, if both arms go on as they did.

    Bonferroni's factor stands in for Holm's, which depends on the other races' p: the estimate errs to the long side.
    """
    n_control, n_test = len(e.control_blocks), len(e.test_blocks)
    load_s = e.on_control.exposure_s + e.on_test.exposure_s
    block_s = block_cost_s if block_cost_s is not None else load_s / (n_control + n_test)
    share = e.on_control.opportunities / (e.on_control.opportunities + e.on_test.opportunities)
    clean = sum(1 for seen, _ in e.control_blocks if not seen) / n_control
    for extra in range(1, _MAX_EXTRA_PAIRS + 1):
        control, test = n_control + extra, n_test + extra
        if e.clustered is None:
            p = share ** (e.on_control.incidents * control / n_control)
        else:
            # As extreme as ours are the deals which give the test arm only clean blocks, its own or the control's.
            p = math.comb(test + math.ceil(clean * control), test) / math.comb(control + test, test)
        if min(control, test) >= MIN_BLOCKS and races * p < ALPHA:
            return 2 * extra * block_s / 60
    return None


def _at_most(opportunities: int) -> str:
    """The upper 95 % bound of a rate that was never seen: the rate at which so many chances pass without an incident
    in 5 % of cases (Clopper and Pearson; about 3 over the opportunities)."""
    bound = 1000 * (1 - 0.05 ** (1 / opportunities))
    return f"at most {bound:.2g} per 1,000 with 95 % confidence"


def _shorten(reasons: Sequence[str], limit: int = 3) -> str:
    """The first few of possibly many reasons, saying how many were left out."""
    rest = len(reasons) - limit
    return "; ".join(reasons[:limit]) + (f"; and {rest} more" if rest > 0 else "")


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p
