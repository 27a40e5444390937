"""The failure of a task of a fail_fast DAG against another report. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.fail_fast import FIXES, fail_fast_lock_order
from stress.races.fail_fast import checker
from stress.races.fail_fast.scenario import SCENARIO
from stress.races.race import Headline, Race, Reproducer

RACE = Race(
    name="fail_fast",
    place=8,
    summary=(
        "A failure ended the other tasks of a fail_fast DAG by a stale read: it overwrote a success that was "
        "already answered, or deadlocked with another report."
    ),
    found_by="the schedule search",
    scenario=SCENARIO,
    check=checker.check,
    causes=checker.CAUSES,
    unit="reports made together",
    opportunity="a worker reported a task's end within 0.1 s of another one of the same fail_fast run",
    headline=Headline(
        "fail_fast_overwrites",
        "Failures in fail_fast DAGs that overwrote a success or deadlocked with another report",
        one_more=(
            "a failure in a fail_fast DAG overwrote a success that was answered as stored, or deadlocked with another"
            " report of its run"
        ),
    ),
    reproducers=(
        Reproducer("fail_fast_overwrite", removed_by=fail_fast_lock_order.FIX),
        Reproducer("fail_fast_deadlock", removed_by=fail_fast_lock_order.FIX),
    ),
    fixes=FIXES,
)
