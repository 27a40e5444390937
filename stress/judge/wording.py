"""How counts and p-values are written in reasons, tables and messages."""

from __future__ import annotations

import math
from collections.abc import Sequence


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


def at_most(opportunities: int) -> str:
    """The upper 95 % bound of a rate that was never seen: the rate at which so many chances pass without an incident
    in 5 % of cases (Clopper and Pearson; about 3 over the opportunities)."""
    bound = 1000 * (1 - 0.05 ** (1 / opportunities))
    return f"at most {bound:.2g} per 1,000 with 95 % confidence"


def shorten(reasons: Sequence[str], limit: int = 3) -> str:
    """The first few of possibly many reasons, with the number of those left out."""
    rest = len(reasons) - limit
    return "; ".join(reasons[:limit]) + (f"; and {rest} more" if rest > 0 else "")
