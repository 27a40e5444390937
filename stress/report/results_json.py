"""`results.json`, the contract with the outside: its keys, in their order, and null where a value is absent.

`p_value` of a race is adjusted for all races asked for together. Beyond the contract: `config` and `code` of an arm
(null for a release as it is); `p_raw`, `test`, `dispersion`, `blocks`, `set_aside`, `decided_after` and
`more_minutes` of a race; `task_instances` and `load_s` of a throughput; the times and sizes of a block; `unit` and
`reason` of a harm measure; `costs`; `anomalies` (null where no block had a change feed); `notes`, `instrument` and
`command` of the run (the last two null without the manifest). In `blocks` a race's counts are its incidents and
opportunities. Seconds are rounded to milliseconds, p-values are not rounded.
"""

from __future__ import annotations

import json

from stress.judge.ratios import LEVEL
from stress.results import (
    SCHEMA,
    Anomalies,
    AnomalyCount,
    AnomalyWitness,
    ArmCode,
    ArmCount,
    ArmSummary,
    BlockSummary,
    CostChange,
    HarmMeasure,
    Instrument,
    RaceVerdict,
    Results,
    RunFacts,
    Throughput,
)


def render(results: Results, facts: RunFacts | None = None) -> str:
    """The text of `results.json`, ending in a newline. `facts` are the manifest's."""
    return json.dumps(document(results, facts), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def document(results: Results, facts: RunFacts | None = None) -> dict[str, object]:
    """What `results.json` says, as a JSON object."""
    return {
        "schema": SCHEMA,
        "run_id": results.run_id,
        "seed": results.seed,
        "state": str(results.state),
        "verdict": str(results.verdict),
        "arms": {arm.name: _arm(arm) for arm in results.arms},
        "races": {race: _race(verdict) for race, verdict in results.races.items()},
        "blocks": [_block(block) for block in results.blocks],
        "harm": [_harm(measure) for measure in results.harm],
        "throughput": {arm.name: _throughput(results.throughput.get(arm.name)) for arm in results.arms},
        "blind": list(results.blind),
        "errors": list(results.errors),
        "costs": [cost(each) for each in results.costs],
        "notes": list(results.notes),
        "instrument": None if facts is None else _instrument(facts.instrument),
        "command": None if facts is None else facts.command,
        "anomalies": None if results.anomalies is None else _anomalies(results.anomalies),
    }


def _arm(arm: ArmSummary) -> dict[str, object]:
    return {"airflow": arm.airflow, "fixes": list(arm.fixes), "config": dict(arm.config), "code": _code(arm.code)}


def _code(code: ArmCode | None) -> dict[str, object] | None:
    if code is None:
        return None
    return {
        "kind": code.kind,
        "name": code.name,
        "version": code.version,
        "revision": code.revision,
        "digest": code.digest,
    }


def _instrument(instrument: Instrument) -> dict[str, object]:
    return {"version": instrument.version, "commit": instrument.commit, "fixes": dict(instrument.fixes)}


def _race(verdict: RaceVerdict) -> dict[str, object]:
    return {
        "verdict": str(verdict.verdict),
        "reason": verdict.reason,
        "p_value": verdict.p_adjusted,
        "rate_ratio_upper95": verdict.rate_ratio_upper95,
        "control": verdict.control,
        "under_test": verdict.under_test,
        "arms": {arm: _count(count) for arm, count in verdict.arms.items()},
        "p_raw": verdict.p_value,
        "test": verdict.test,
        "dispersion": verdict.dispersion,
        "blocks": dict(verdict.blocks),
        "set_aside": list(verdict.set_aside),
        "decided_after": verdict.decided_after,
        "more_minutes": verdict.more_minutes,
    }


def _count(count: ArmCount) -> dict[str, object]:
    return {
        "incidents": count.incidents,
        "opportunities": count.opportunities,
        "exposure_s": round(count.exposure_s, 3),
        "first_incident_s": None if count.first_incident_s is None else round(count.first_incident_s, 3),
        "causes": dict(count.causes),
    }


def _harm(measure: HarmMeasure) -> dict[str, object]:
    return {
        "measure": measure.measure,
        **measure.values,
        "verdict": measure.verdict,
        "p_value": measure.p_value,
        "unit": measure.unit,
        "reason": measure.reason,
    }


def cost(change: CostChange) -> dict[str, object]:
    """One cost: the median of each arm under its name, then the comparison."""
    return {
        "measure": change.measure,
        **change.medians,
        "change": change.change,
        "low": change.low,
        "high": change.high,
        "level": LEVEL,
        "verdict": change.verdict,
        "unit": change.unit,
        "margin": change.margin,
        "blocks": dict(change.blocks),
        "reason": change.reason,
    }


def _anomalies(anomalies: Anomalies) -> dict[str, object]:
    return {
        "transitions": dict(anomalies.transitions),
        "checkers": {
            checker: {
                "unit": anomalies.units.get(checker),
                **{arm: _anomaly_count(count) for arm, count in counts.items()},
            }
            for checker, counts in anomalies.checkers.items()
        },
        "unexplained": [_anomaly(witness) for witness in anomalies.unexplained],
        "blind": list(anomalies.blind),
    }


def _anomaly_count(count: AnomalyCount) -> dict[str, object]:
    return {
        "found": count.found,
        "unexplained": count.unexplained,
        "opportunities": count.opportunities,
        "explained": dict(count.explained),
    }


def _anomaly(witness: AnomalyWitness) -> dict[str, object]:
    return {
        "checker": witness.checker,
        "block": witness.block,
        "arm": witness.arm,
        "at_s": round(witness.at_s, 3),
        "what": witness.what,
        "also": list(witness.also),
        "steps": [
            dict(zip(("at", "transaction", "writer", "row", "change"), row, strict=True)) for row in witness.table.rows
        ],
    }


def _throughput(throughput: Throughput | None) -> dict[str, object]:
    if throughput is None:
        return {}
    return {
        "task_instances_per_s": round(throughput.task_instances_per_s, 4),
        "task_instances": throughput.task_instances,
        "load_s": round(throughput.load_s, 3),
    }


def _block(block: BlockSummary) -> dict[str, object]:
    return {
        "block": block.index,
        "arm": block.arm,
        "counts": {race: list(counts) for race, counts in block.counts.items()},
        "blind": list(block.blind),
        "started_at": round(block.started_at, 3),
        "load_s": round(block.load_s, 3),
        "complete": block.complete,
        "task_instances": block.task_instances,
        "restarts": block.restarts,
        "peak_rss_bytes": block.peak_rss_bytes,
    }
