"""The geometry of a race's timeline: incidents over the blocks of a run, for the page to draw as SVG.

::

    1 stock │2 fixed │3 fixed │4 stock          bands: whose turn it was
       ┌────┼────────┼────────┼─────┌── stock   incidents so far, one step curve an arm
    ┌──┘    │        │        │  ┌──┘
    └───────┴────────┴────────┴──────── fixed
    | || |  │        │        │ | ||            a lane of ticks an arm, one for each incident
    0      60       120      180     240 s      cumulated load of the run

Pure arithmetic on a canvas of `WIDTH` units. However long the run, what is drawn is bounded by the canvas: incidents
nearer than a unit share a tick (its title says how many), and a curve has one point per tick.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stress.report import text
from stress.results import ArmSummary, BlockSummary, Incident

WIDTH = 960
_LEFT, _RIGHT, _TOP, _PLOT, _LANE, _AXIS = 36, 104, 24, 132, 16, 34
_BAND_LABEL_MIN = 46  # narrower bands have no room for a label
_LABEL_GAP = 15
_DENSE = 1_000  # from this many incidents on an arm, ticks are two units apart


@dataclass(frozen=True)
class Band:
    """One block: where, whose, and how it is labelled (empty if there is no room)."""

    x: float
    width: float
    arm: int
    label: str
    title: str
    complete: bool


@dataclass(frozen=True)
class Tick:
    """One incident, or a few which lie nearer than a unit."""

    x: int
    arm: int
    title: str


@dataclass(frozen=True)
class Curve:
    """One arm's incidents so far, as an SVG path, and where its name goes."""

    arm: int
    name: str
    path: str
    label_y: float


@dataclass(frozen=True)
class Mark:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Timeline:
    """All that the drawing needs; lengths in canvas units."""

    height: int
    left: int
    right: int
    top: int
    bottom: int
    bands: tuple[Band, ...]
    curves: tuple[Curve, ...]
    lanes: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    description: str
    width: int = WIDTH
    lane: int = _LANE


def draw(blocks: Sequence[BlockSummary], incidents: Sequence[Incident], arms: Sequence[ArmSummary]) -> Timeline | None:
    """The timeline of the `incidents` of one race, or None without a block to put them in."""
    numbers = {arm.name: i for i, arm in enumerate(arms)}
    blocks = sorted((b for b in blocks if b.arm in numbers), key=lambda block: block.index)
    starts, lengths, total_s = _starts(blocks, incidents)
    if total_s <= 0:
        return None
    scale = (WIDTH - _LEFT - _RIGHT) / total_s
    bottom = _TOP + _PLOT
    placed = sorted(
        (
            (_LEFT + (starts[i.block] + max(i.at_s, 0.0)) * scale, numbers[i.arm], i)
            for i in incidents
            if i.block in starts and i.arm in numbers
        ),
        key=lambda entry: entry[:2],
    )
    per_arm = [[(x, incident) for x, arm, incident in placed if arm == number] for number in range(len(arms))]
    highest = max((len(entries) for entries in per_arm), default=0)
    y_step = _nice_step(max(highest, 1), 4)
    y_top = max(y_step * math.ceil(max(highest, 1) / y_step), 1)

    def y_of(number: float) -> float:
        return round(bottom - number / y_top * _PLOT, 1)

    end_x = WIDTH - _RIGHT
    label_ys = _spread([y_of(len(entries)) for entries in per_arm])
    x_step = _nice_time(total_s)
    return Timeline(
        height=bottom + _LANE * len(arms) + _AXIS,
        left=_LEFT,
        right=end_x,
        top=_TOP,
        bottom=bottom,
        bands=tuple(_band(block, numbers[block.arm], starts, lengths, scale) for block in blocks),
        curves=tuple(
            Curve(
                number,
                f"{arm.name} {text.count(len(per_arm[number]))}",
                _steps([x for x, _ in per_arm[number]], end_x, y_of),
                label_ys[number],
            )
            for number, arm in enumerate(arms)
        ),
        lanes=tuple(Mark(bottom + _LANE * number, arm.name) for number, arm in enumerate(arms)),
        ticks=tuple(tick for number, entries in enumerate(per_arm) for tick in _ticks(number, entries)),
        x_marks=tuple(
            Mark(round(_LEFT + i * x_step * scale, 1), text.clock(i * x_step)) for i in range(int(total_s / x_step) + 1)
        ),
        y_marks=tuple(Mark(y_of(n), text.count(n)) for n in range(0, y_top + 1, y_step)),
        description=_describe(blocks, total_s, per_arm, arms),
    )


def _starts(
    blocks: Sequence[BlockSummary], incidents: Sequence[Incident]
) -> tuple[dict[int, float], dict[int, float], float]:
    """When each block begins and how long it is, in seconds of the run's load; and the whole.

    Incidents found while a block settled belong to the block, and extend it.
    """
    last = {block.index: block.load_s for block in blocks}
    for incident in incidents:
        if incident.block in last:
            last[incident.block] = max(last[incident.block], incident.at_s)
    starts: dict[int, float] = {}
    elapsed = 0.0
    for block in blocks:
        starts[block.index] = elapsed
        elapsed += last[block.index]
    return starts, last, elapsed


def _band(block: BlockSummary, arm: int, starts: dict[int, float], lengths: dict[int, float], scale: float) -> Band:
    width = lengths[block.index] * scale
    label = f"{block.index} {block.arm}"
    if width < max(_BAND_LABEL_MIN, 7 * len(label)):
        label = str(block.index) if width > 9 * len(str(block.index)) else ""
    return Band(
        x=round(_LEFT + starts[block.index] * scale, 1),
        width=round(width, 1),
        arm=arm,
        label=label,
        title=f"block {block.index}, {block.arm}, {text.seconds(block.load_s)} of load"
        + ("" if block.complete else ", cut short"),
        complete=block.complete,
    )


def _ticks(arm: int, entries: Sequence[tuple[float, Incident]]) -> list[Tick]:
    grain = 2 if len(entries) > _DENSE else 1
    groups: dict[int, list[Incident]] = {}
    for x, incident in entries:
        groups.setdefault(round(x / grain) * grain, []).append(incident)
    ticks = []
    for x, group in groups.items():
        first = group[0]
        more = f", and {len(group) - 1:,} more" if len(group) > 1 else ""
        ticks.append(
            Tick(x, arm, f"{first.arm}, block {first.block} at {text.seconds(first.at_s)}: {first.cause[:60]}{more}")
        )
    return ticks


def _steps(xs: Sequence[float], end_x: float, y_of: Callable[[float], float]) -> str:
    """Right, then up, at each incident."""
    at: dict[int, int] = {}
    for number, x in enumerate(xs, start=1):
        at[round(x)] = number
    steps = "".join(f"H{x}V{y_of(number)}" for x, number in at.items())
    return f"M{_LEFT} {y_of(0)}{steps}H{end_x}"


def _spread(ys: Sequence[float]) -> list[float]:
    """Move labels apart, upwards, until none covers another; the lowest stays."""
    spread = list(ys)
    order = sorted(range(len(ys)), key=lambda i: (-ys[i], -i))
    for below, above in itertools.pairwise(order):
        spread[above] = min(spread[above], spread[below] - _LABEL_GAP)
    return spread


def _nice_step(highest: int, marks: int) -> int:
    """The least of 1, 2, 5, 10, 20, 50, ... that divides `highest` into at most `marks` parts."""
    step = 1
    while highest / step > marks:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return step


def _nice_time(total_s: float) -> int:
    """Seconds between marks on the time axis, at most about ten of them."""
    for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400):
        if total_s / step <= 10:
            return step
    return 86_400 * math.ceil(total_s / 864_000)


def _describe(
    blocks: Sequence[BlockSummary],
    total_s: float,
    per_arm: Sequence[Sequence[tuple[float, Incident]]],
    arms: Sequence[ArmSummary],
) -> str:
    counts = text.listed(
        [f"{text.counted(len(entries), 'incident')} on {arm.name}" for arm, entries in zip(arms, per_arm, strict=True)]
    )
    return f"{counts}, over {text.counted(len(blocks), 'block')} and {text.seconds(total_s)} of load."
