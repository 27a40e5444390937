"""The manifest that a run begins with."""

from __future__ import annotations

import time

from stress import manifest
from stress.arms.code import code_of
from stress.manifest import ArmManifest, Manifest
from stress.plan import Plan
from stress.results import RunState
from stress.run.settings import shown


def manifest_of(plan: Plan, arguments: list[str]) -> Manifest:
    """A plan's manifest in the state `starting`, held by this process."""
    pid, started = manifest.own_identity()
    arms = [
        ArmManifest(
            name=arm.name,
            airflow=arm.airflow.version,
            overlay=[part.path.name for part in arm.overlay],
            fixes=list(arm.fixes),
            config=dict(arm.config),
            code=code_of(arm.airflow, arm.overlay),
        )
        for arm in plan.arms
    ]
    return Manifest(
        run_id=plan.run_id,
        state=str(RunState.STARTING),
        seed=plan.seed,
        started_at=time.time(),
        ended_at=None,
        command=manifest.command_line(arguments, plan),
        runtime=plan.runtime,
        scenarios=[scenario.name for scenario in plan.scenarios],
        races=list(plan.races),
        arms=arms,
        releases=list(dict.fromkeys(arm.airflow for arm in arms)),
        fixes=list(dict.fromkeys(fix for arm in arms for fix in arm.fixes)),
        instrument=manifest.instrument_of(plan),
        budget_s=plan.budget_s,
        load=plan.load,
        workers=plan.workers,
        settings=shown(plan),
        host=manifest.host_facts(),
        harness_pid=pid,
        harness_started=started,
    )
