"""Block counts: what one race showed on two arms, and what of it may be compared. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from stress.results import ArmCount, BlockCheck

MOST_BLIND = 1 / 10
"""Share of blind blocks above which every verdict is unknown."""

_PERSISTENT = 3
"""Blind blocks before a race may be taken for one that cannot be observed."""

_ARM_DEPENDENT = 0.05
"""One-sided p (Fisher's exact test) below which blindness is taken to depend on the arm."""


@dataclass(frozen=True)
class Usable:
    """The blocks of two arms that can be compared, in the order in which they ran.

    `blocks` are block numbers with their arm; `ran` is how many blocks of the two arms had run when each of them ended,
    those that were set aside included. `set_aside` says which blocks are blind and why; `fault` why that is too many.
    """

    blocks: tuple[tuple[int, str], ...]
    ran: tuple[int, ...]
    set_aside: tuple[str, ...]
    fault: str | None


def usable_blocks(checks: Sequence[BlockCheck], control: str, under_test: str) -> Usable:
    """Set blind blocks aside: a block that is blind for one race is not used for any, so that all share one test.

    Pass only checks of races that can be observed (see `unobservable`).
    """
    arm_of: dict[int, str] = {}
    blind: dict[int, list[str]] = {}
    for check in sorted(checks, key=lambda each: each.block):
        if check.arm in (control, under_test):
            arm_of[check.block] = check.arm
            if check.blind:
                blind.setdefault(check.block, []).extend(check.blind)
    used = [(block, arm) for block, arm in arm_of.items() if block not in blind]
    ran = {block: place + 1 for place, block in enumerate(arm_of)}
    reasons = tuple(f"{arm_of[block]}: {'; '.join(dict.fromkeys(why))}" for block, why in blind.items())
    return Usable(tuple(used), tuple(ran[block] for block, _ in used), reasons, _fault(arm_of, blind, control))


def unobservable(checks: Sequence[BlockCheck], race: str) -> tuple[str, ...]:
    """Why a race cannot be observed in this run: it is blind in at least three blocks and more than half of all. Empty
    if it can be.

    Such a race is unknown by itself; its blindness does not set the blocks of the others aside.
    """
    own = [check for check in checks if check.race == race]
    blind = [check for check in own if check.blind]
    if len(blind) < _PERSISTENT or 2 * len(blind) <= len(own):
        return ()
    return tuple(dict.fromkeys(f"{check.arm}: {why}" for check in blind for why in check.blind))


def _fault(arm_of: Mapping[int, str], blind: Mapping[int, object], control: str) -> str | None:
    """Why so much blindness decides nothing; None if there is little of it, and alike on both arms."""
    if len(blind) > MOST_BLIND * len(arm_of):
        return f"{len(blind)} of {len(arm_of)} blocks were blind, more than one in ten"
    on_control = [block for block, arm in arm_of.items() if arm == control]
    blind_control = sum(1 for block in on_control if block in blind)
    blind_test, on_test = len(blind) - blind_control, len(arm_of) - len(on_control)
    table = np.array([[blind_control, len(on_control) - blind_control], [blind_test, on_test - blind_test]])
    least = min(float(stats.fisher_exact(table, alternative=side).pvalue) for side in ("less", "greater"))
    if blind and least < _ARM_DEPENDENT:
        return f"blindness depends on the arm: {blind_control} of the {len(blind)} blind blocks are the control's"
    return None


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


def dispersion(blocks: Sequence[tuple[int, int]]) -> float | None:
    """Variance of block counts over what independent incidents would have; 1 is independence.

    Blocks are (incidents, opportunities). Pearson's chi-squared over its degrees of freedom, each block's expectation
    being its share of the opportunities. The reference variance is binomial, because most races have at most one
    incident an opportunity: near a rate of 1 a Poisson variance would hide any clustering. None where it cannot be
    estimated: fewer than two blocks with opportunities, no incident, or an incident at every opportunity.
    """
    telling = [(seen, chances) for seen, chances in blocks if chances > 0]
    incidents, opportunities = sum(seen for seen, _ in telling), sum(chances for _, chances in telling)
    if len(telling) < 2 or incidents == 0:
        return None
    rate = incidents / opportunities
    if rate >= 1.0:
        return None
    chi_squared = sum((seen - rate * chances) ** 2 / (rate * (1 - rate) * chances) for seen, chances in telling)
    return chi_squared / (len(telling) - 1)


def rate_ratio_upper95(control: ArmCount, under_test: ArmCount, overdispersion: float | None) -> float | None:
    """One-sided upper 95 % bound of (rate under test / rate on control); None without an incident on control.

    Clopper and Pearson's bound of the binomial share, turned into odds; exact for independent incidents. Clustered
    counts are first divided by the dispersion (quasi-likelihood; McCullagh and Nelder, "Generalized Linear Models",
    section 4.5), an approximation. It covers one race at the end of the run, not all races and looks together.
    """
    if control.incidents == 0 or control.opportunities == 0 or under_test.opportunities == 0:
        return None
    scale = max(1.0, overdispersion or 1.0)
    share = float(stats.beta.ppf(0.95, under_test.incidents / scale + 1, control.incidents / scale))
    if share >= 1.0:
        return None
    return share / (1 - share) * control.opportunities / under_test.opportunities


def block_share_upper95(blocks: int) -> float:
    """Upper 95 % bound of the share of blocks that would show a race, where none of `blocks` showed it (Clopper and
    Pearson)."""
    return float(1 - 0.05 ** (1 / blocks))
