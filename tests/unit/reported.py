"""The example run of the reports' tests: stock against fixed, judged by the real verdict, and variants of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stress.judge.verdicts import judge_all, overall
from stress.results import (
    ArmSummary,
    BlockCheck,
    BlockSummary,
    Incident,
    Results,
    RunFacts,
    RunState,
    Throughput,
    Witness,
    WitnessTable,
)

RACES = ("deadlock", "duplicate_callback", "out_of_order_frame")
ORDER = ("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")
LONG_ORDER = (*ORDER, "fixed", "fixed", "stock", "stock", "fixed", "stock")
"""As far as the second look: at the first one, a race that remains leaves the others undecided (joint test)."""
LOAD_S = 62.0

FACTS = RunFacts(
    run_id="20260504-102033-1f3a",
    started_at=1_777_890_033.0,
    ended_at=1_777_890_033.0 + 523,
    command="stress run --arm stock --arm fixed --airflow 3.2.1 --budget 10m --seed 4711",
    runtime="local",
    host={"cpus": "2", "memory": "24.0 GB", "kernel": "Linux 6.1", "python": "3.11.9", "postgresql": "16.4"},
    settings={"budget": "10m", "scenarios": "state_updates, deadlines, cancellations", "workers": "hollow"},
)

API_STATEMENT = (
    "SELECT task_instance.id, task_instance.state, task_instance.try_number, dag_run_1.id AS id_1, dag_run_1.state AS "
    "state_1 FROM task_instance JOIN dag_run AS dag_run_1 ON dag_run_1.dag_id = task_instance.dag_id "
    "AND dag_run_1.run_id = task_instance.run_id WHERE task_instance.id = $1 FOR UPDATE"
)
SCHEDULER_STATEMENT = (
    "UPDATE task_instance SET dag_version_id=$1 WHERE task_instance.dag_id = $2 AND task_instance.run_id = $3 AND "
    "(task_instance.state IS NULL OR task_instance.state NOT IN ($4, $5, $6, $7, $8))"
)

WITNESSES: Mapping[str, Mapping[str, Witness]] = {
    "deadlock": {
        "api-server/scheduler": Witness(
            "The API server waited for a dag run that a scheduler held, and the scheduler for its task instance.",
            (
                WitnessTable(
                    "The cycle, as PostgreSQL logged it",
                    ("process", "component", "waits for", "held by", "statement"),
                    (
                        ("4121", "api-server", "ShareLock on transaction 90412", "4087", API_STATEMENT),
                        ("4087", "scheduler-1", "ShareLock on transaction 90409", "4121", SCHEDULER_STATEMENT),
                    ),
                ),
                WitnessTable(
                    "What was locked",
                    ("relation", "tuple", "victim"),
                    (("dag_run", "(12,7)", "api-server, answered 500"),),
                ),
            ),
        ),
    },
    "duplicate_callback": {
        "two schedulers": Witness(
            "Deadline 0196-7c41 was handled by both schedulers: two callback triggers, two receipts.",
            (
                WitnessTable(
                    "Receipts of the callback",
                    ("at", "trigger", "triggerer", "process"),
                    (("38.114 s", "211", "triggerer-0", "3901"), ("38.131 s", "212", "triggerer-1", "3907")),
                ),
            ),
        ),
        "two triggerers": Witness(
            "Trigger 214 ran in both triggerers.",
            (
                WitnessTable(
                    "Receipts of the callback",
                    ("at", "trigger", "triggerer", "process"),
                    (("40.020 s", "214", "triggerer-0", "3901"), ("40.022 s", "214", "triggerer-1", "3907")),
                ),
            ),
        ),
    },
    "out_of_order_frame": {
        "cancellation": Witness(
            "triggerer-0 read frame 555 where it expected 556, 41 ms after trigger 88 was cancelled; its runner died.",
            (
                WitnessTable(
                    "Around the cancellation",
                    ("at", "process", "event"),
                    (
                        ("11.902 s", "3901", "trigger 88 cancelled in asend(), request 555 already written"),
                        (
                            "11.943 s",
                            "3901",
                            "RuntimeError: Response read out of order! Got frame.id=555, expect_id=556",
                        ),
                        ("11.951 s", "3901", "Trigger runner process has died! Exiting."),
                    ),
                ),
            ),
        ),
    },
}

COUNTS: Mapping[str, Mapping[str, Sequence[int]]] = {
    "deadlock": {"stock": (11, 9, 13, 8, 10), "fixed": (0, 0, 0, 0)},
    "duplicate_callback": {"stock": (31, 28, 33, 30, 29), "fixed": (0, 0, 0, 0)},
    "out_of_order_frame": {"stock": (4, 3, 5, 2, 4), "fixed": (0, 0, 0, 0)},
}
OPPORTUNITIES = {"deadlock": 1741, "duplicate_callback": 48, "out_of_order_frame": 212}


def example(
    counts: Mapping[str, Mapping[str, Sequence[int]]] = COUNTS,
    *,
    blind: tuple[str, ...] = (),
    state: RunState = RunState.DONE,
    witnesses: Mapping[str, Mapping[str, Witness]] = WITNESSES,
    order: Sequence[str] = ORDER,
    opportunities: Mapping[str, int] = OPPORTUNITIES,
) -> Results:
    """A run of stock against fixed, judged by the real verdict; `counts` are incidents per race, arm and block."""
    names = list(dict.fromkeys(order))
    checks: list[BlockCheck] = []
    turns = {name: [block for block, arm in enumerate(order) if arm == name] for name in names}
    for race, per_arm in counts.items():
        causes = list(witnesses[race])
        for name in names:
            for block, number in zip(turns[name], per_arm[name], strict=True):
                incidents = tuple(
                    Incident(
                        race,
                        block,
                        name,
                        # Spread over the block, unevenly but always alike.
                        4.0 + (LOAD_S - 6) * ((n + 1) * 0.618034 * (block + 1) % 1),
                        causes[n % len(causes)],
                        f"signature of {causes[n % len(causes)]}",
                        witnesses[race][causes[n % len(causes)]],
                    )
                    for n in range(number)
                )
                seen = opportunities[race] + 3 * (block % 4)
                checks.append(
                    BlockCheck(race, block, name, incidents, seen, LOAD_S, blind if race == "deadlock" else ())
                )
    verdicts = judge_all(checks, list(counts), names, block_cost_s=80.0, units={"deadlock": "state updates"})
    return Results(
        run_id=FACTS.run_id,
        seed=4711,
        state=state,
        verdict=overall(verdicts, interrupted=state is RunState.INTERRUPTED),
        arms=[
            ArmSummary(
                name, "3.2.1", () if name == "stock" else ("triggerer_comms", "deadline_claim", "row_lock_scope")
            )
            for name in names
        ],
        races=verdicts,
        throughput={name: Throughput(9.31 if name == "stock" else 9.64, 1740, 186.0) for name in names},
        blind=tuple(f"deadlock on stock, block 0: {sentence}" for sentence in blind),
        blocks=tuple(
            BlockSummary(
                n, arm, FACTS.started_at + 80 * n, LOAD_S, True, 580, 4 if arm == "stock" else 0, 1_930_000_000
            )
            for n, arm in enumerate(order)
        ),
        incidents=tuple(incident for check in checks for incident in check.incidents),
        notes=("pg_stat_database counted 51 deadlocks, as many as the log.",),
    )


def with_counts(**changed: Mapping[str, Sequence[int]]) -> Results:
    """The example with other counts for some races."""
    return example({**COUNTS, **changed})


REMAINS = example(
    {
        "deadlock": {"stock": (11, 9, 13, 8, 10, 12, 9, 11), "fixed": (12, 9, 10, 11, 8, 10, 13)},
        "duplicate_callback": {"stock": (31, 28, 33, 30, 29, 32, 30, 31), "fixed": (0,) * 7},
        "out_of_order_frame": {"stock": (4, 3, 5, 2, 4, 3, 4, 2), "fixed": (0,) * 7},
    },
    order=LONG_ORDER,
)
UNKNOWN = with_counts(deadlock={"stock": (1, 0, 1, 0, 1), "fixed": (0, 0, 0, 0)})
HOSTILE = '<script>alert("1")</script> | `x` \x1b[31m \x00 \udc80 & </code> ]]>'


def hostile() -> Results:
    """A run whose every text is trouble."""
    witness = Witness(HOSTILE, (WitnessTable(HOSTILE, (HOSTILE,), ((HOSTILE,), (f"SELECT {HOSTILE} FOR UPDATE",))),))
    made = example({"deadlock": COUNTS["deadlock"]}, witnesses={"deadlock": {HOSTILE: witness}}, blind=(HOSTILE,))
    return replace(made, notes=(HOSTILE,), run_id=HOSTILE)


def long_run() -> Results:
    """Eight hours of a race that occurs all the time, with large witnesses of many causes."""
    order = ("stock", "fixed", "fixed", "stock") * 120
    table = WitnessTable("all that was logged", ("statement",), ((f"SELECT {'x, ' * 3_000} FROM y",),) * 100)
    causes = {f"cause {n}": Witness("Much was logged.", (table,)) for n in range(40)}
    counts = {race: {"stock": [60] * 240, "fixed": [20] * 240} for race in RACES}
    return example(counts, order=order, witnesses=dict.fromkeys(RACES, causes))
