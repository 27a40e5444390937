"""Out-of-order frames between a trigger runner and its supervisor. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.out_of_order_frame import FIXES, triggerer_comms
from stress.races.out_of_order_frame import checker
from stress.races.out_of_order_frame.scenario import SCENARIO
from stress.races.race import Headline, Race, Reproducer

RACE = Race(
    name="out_of_order_frame",
    place=3,
    summary=(
        "A triggerer's runner read a reply that belongs to another request, died of it, or made no more "
        "progress (apache/airflow#64620)."
    ),
    issues=(64620,),
    found_by="the report",
    scenario=SCENARIO,
    check=checker.check,
    causes=checker.CAUSES,
    unit="cancellations in a request",
    opportunity="a trigger was cancelled in the middle of a request (its own receipt)",
    headline=Headline(
        "out_of_order_frames",
        "Trigger runners that lost the order of their frames or hung",
        one_more=(
            "one trigger runner lost the order of its exchange with the supervisor, died, or stood still "
            "while it held triggers; once a life of a runner"
        ),
    ),
    reproducers=(
        Reproducer("out_of_order_frame_cancellation", removed_by=triggerer_comms.FIX),
        Reproducer("out_of_order_frame_thread", removed_by=triggerer_comms.FIX),
    ),
    fixes=FIXES,
)
