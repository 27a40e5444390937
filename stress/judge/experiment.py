"""`stress judge`: block counts from any source, one experiment a line, judged as a run would have been.

An experiment is a JSON object:

    {"control": "a", "under_test": "b", "races": ["x"],
     "blocks": [{"arm": "a", "counts": {"x": [incidents, opportunities]}}, ...]}

with blocks in the order in which they ran. A block may have `"blind": [...]`: names of races that were not seen in it,
or reasons, which hold for all races. Blocks of other arms are ignored. The answer is one line:

    {"verdict": "pass", "races": {"x": {"verdict": "removed", "p_value": 0.0079, "decided_after": 9}}}

`p_value` is adjusted for all races of the experiment. `decided_after` is how many blocks of the two arms had run when
the verdict was reached; null while it is open. Blocks after the one where a run would have stopped are not looked at.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from stress.judge.evidence import may_reject
from stress.judge.looks import FIRST, level_at, looks_until
from stress.judge.verdicts import decided, judge, overall
from stress.results import BlockCheck, Incident, RaceVerdict, Witness


class CountedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One block: its arm, and (incidents, opportunities) of each race."""

    arm: str
    counts: dict[str, tuple[int, int]]
    blind: list[str] = []


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """Two arms' blocks, in the order in which they ran."""

    control: str
    under_test: str
    races: list[str]
    blocks: list[CountedBlock]


class BadExperiments(ValueError):  # noqa: N818 - it says what happened
    """Lines that are not experiments: all of them, a sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = tuple(mistakes)


_DECODER = msgspec.json.Decoder(Experiment)


def read(lines: Iterable[bytes]) -> list[Experiment]:
    """The experiments of a file, blank lines left out. Raises BadExperiments with every bad line at once."""
    experiments: list[Experiment] = []
    mistakes: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            experiment = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            mistakes.append(f"line {number}: {error}")
            continue
        problems = [f"line {number}: {problem}" for problem in _problems(experiment)]
        mistakes.extend(problems)
        experiments.append(experiment)
    if mistakes:
        raise BadExperiments(mistakes)
    return experiments


def _problems(experiment: Experiment) -> Iterator[str]:
    if not experiment.races:
        yield "no races"
    if experiment.control == experiment.under_test:
        yield f"control and under_test are both {experiment.control!r}: two arms are needed"
    for place, block in enumerate(experiment.blocks):
        if block.arm not in (experiment.control, experiment.under_test):
            continue
        for race in experiment.races:
            if race not in block.counts:
                yield f"block {place} has no counts of {race!r}"
        for race, (incidents, opportunities) in block.counts.items():
            if incidents < 0 or opportunities < 0:
                yield f"block {place}: counts of {race!r} are negative"


def judge_experiment(experiment: Experiment) -> dict[str, RaceVerdict]:
    """The verdicts at the block after which a run would have stopped, or after the last."""
    blocks = [block for block in experiment.blocks if block.arm in (experiment.control, experiment.under_test)]
    checks = [[_check(experiment, block, race, at) for race in experiment.races] for at, block in enumerate(blocks)]
    for ran in _stops(experiment, blocks):
        verdicts = _judge(experiment, checks[:ran])
        if decided(verdicts):
            return verdicts
    return _judge(experiment, checks)


def _stops(experiment: Experiment, blocks: Sequence[CountedBlock]) -> Iterator[int]:
    """After how many blocks a run may stop: a superset, cheap to find, so that only these are judged in full."""
    if any(block.blind for block in blocks):
        yield from range(FIRST, len(blocks))
        return
    counts = np.array([[block.counts[race][0] for race in experiment.races] for block in blocks], dtype=np.float64)
    chances = np.array([[block.counts[race][1] for race in experiment.races] for block in blocks], dtype=np.float64)
    test = np.array([block.arm == experiment.under_test for block in blocks], dtype=bool)
    rejected = np.zeros(len(experiment.races), dtype=bool)
    for look in looks_until(len(blocks) - 1):
        rejected |= may_reject(counts[:look], chances[:look], test[:look], level_at(look) or 0.0)
        if (rejected | counts[:look][test[:look]].any(axis=0)).all():
            yield look


def answer(experiment: Experiment) -> str:
    """One line of JSON, without its newline."""
    verdicts = judge_experiment(experiment)
    return json.dumps(
        {
            "verdict": str(overall(verdicts)),
            "races": {
                race: {
                    "verdict": str(verdict.verdict),
                    "p_value": verdict.p_adjusted,
                    "decided_after": verdict.decided_after,
                }
                for race, verdict in verdicts.items()
            },
        }
    )


def _judge(experiment: Experiment, blocks: Sequence[Sequence[BlockCheck]]) -> dict[str, RaceVerdict]:
    checks = list(itertools.chain.from_iterable(blocks))
    return judge(checks, races=experiment.races, control=experiment.control, under_test=experiment.under_test)


def _check(experiment: Experiment, block: CountedBlock, race: str, place: int) -> BlockCheck:
    incidents, opportunities = block.counts[race]
    named = set(block.blind) & set(experiment.races)
    reasons = [why for why in block.blind if why not in named]
    blind = [*(f"block {place} did not see {race}" for _ in named & {race}), *reasons]
    one = Incident(race, place, block.arm, 0.0, "counted", "", _COUNTED)
    return BlockCheck(race, place, block.arm, (one,) * incidents, opportunities, 0.0, tuple(blind))


_COUNTED = Witness("counted elsewhere")
