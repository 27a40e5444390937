"""Stuck and lost tasks under faults. README.md is the finding."""

from __future__ import annotations

from stress.races.deadlock.scenario import SCENARIO
from stress.races.race import Headline, Race
from stress.races.stuck_task import checker

RACE = Race(
    name="stuck_task",
    place=4,
    summary=(
        "A task or a run stays unfinished, though every fault was healed and nothing moved any more; or a task "
        "whose success was answered as stored is stored as something else."
    ),
    found_by="a run with faults",
    scenario=SCENARIO,
    needs_faults=True,
    check=checker.check,
    causes=checker.CAUSES,
    unit="task instances",
    opportunity="a task instance of a DAG that ends by itself existed when the settling began",
    headline=Headline(
        "stuck_tasks",
        "Task instances and runs that no longer move, or whose success was lost",
        one_more=(
            "after all faults were healed and the block had settled, one task instance or run of a DAG that "
            "ends by itself no longer moved (`stuck_...`, by its state), or a success that was answered"
            " as stored was stored as something else (`lost_success`), or a run failed without a failed "
            "task (`lost_run`), or a run ended as success with a task instance that had not ended "
            "(`lost_task`)"
        ),
    ),
)
