"""One JSON request as the argument, one JSON object a line on standard output; everything else goes to standard error.

::

    {"mode": "repro",   "race": "out_of_order_frame_cancellation", "times": 20}
    {"mode": "explore", "pair": "comms_with_cancellation", "preemptions": 2, "budget_s": 60}     (or "pair": "all")
    {"mode": "replay",  "pair": "comms_with_cancellation", "schedule": "4b1c", "times": 20}     (a race's name, too)
    {"mode": "list"}

Lines: `schedule` (in explore only those that fail, the first `witnesses` (20) of them with steps), `progress` every
two seconds, `unknown_operation` where this release lacks something that a pair uses, `summary` for each pair or race,
`pair` and `race` of a list, `error` for a request that is none (exit code 64).
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from typing import Any, TextIO

from .schedule import BadScheduleError, Chooser, decode, encode

EXIT_USAGE = 64
PROGRESS_EVERY_S = 2.0


class _BadRequestError(ValueError):
    """The message says what is wrong with the request, and what there is."""


def main(arguments: list[str]) -> int:
    """Answer one request."""
    # Airflow and its libraries print what they like while they are imported.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with out, tempfile.TemporaryDirectory(prefix="airflow-stress-coroutines-") as home:
        # Comms need no database and no configuration; a home of one's own keeps Airflow from making one somewhere.
        for name, value in {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }.items():
            os.environ.setdefault(name, value)
        try:
            if len(arguments) != 1:
                raise _BadRequestError("one argument is needed, a JSON request")
            try:
                request = json.loads(arguments[0])
            except ValueError as error:
                raise _BadRequestError(f"the request is no JSON: {error}") from error
            _Answer(out, request).give()
        except (_BadRequestError, BadScheduleError) as bad:
            print(json.dumps({"kind": "error", "message": str(bad)}), file=out)
            return EXIT_USAGE
    return 0


class _Answer:
    def __init__(self, out: TextIO, request: dict[str, Any]) -> None:
        self.out = out
        self.request = request
        self.shown_s = time.monotonic()

    def give(self) -> None:
        modes = {"repro": self._repro, "explore": self._explore, "replay": self._replay, "list": self._list}
        mode = self.request.get("mode")
        if mode not in modes:
            raise _BadRequestError(f"there is no mode {mode!r}: there are {', '.join(modes)}")
        modes[mode]()

    def _list(self) -> None:
        from .pairs import PAIRS, TWINS

        for pair in PAIRS:
            self._print(kind="pair", name=pair.name, summary=pair.summary)
        for twin in TWINS:
            self._print(kind="race", name=twin.race, summary=twin.summary)

    def _repro(self) -> None:
        from .pairs import TWINS

        twins = {twin.race: twin for twin in TWINS}
        twin = twins[self._name("race", twins)]
        self._play(twin.pair, twin.chooser)

    def _replay(self) -> None:
        from .pairs import PAIRS, TWINS

        pairs = {pair.name: pair for pair in (*PAIRS, *(twin.pair for twin in TWINS))}
        pair = pairs[self._name("race" if "race" in self.request else "pair", pairs)]
        prefix = decode(str(self.request.get("schedule", "")))
        self._play(pair, lambda: Chooser(prefix))

    def _play(self, pair: Any, chooser: Any) -> None:
        """Run one schedule as often as asked for."""
        times = self._number("times", 1)
        began = time.monotonic()
        maker = self._maker(pair)
        if maker is None:
            return
        failed = 0
        with _theatre():
            for number in range(1, times + 1):
                stage = maker(chooser())
                failures = self._tell(stage, number, stage.world.chooser)
                if stage.world.chooser.unused:
                    raise BadScheduleError("this schedule is of another pair or release: the run ended before it did")
                failed += bool(failures)
        self._summary(pair.name, times, 0, failed, True, began)

    def _explore(self) -> None:
        from .pairs import PAIRS
        from .search import Progress, Search

        pairs = {pair.name: pair for pair in PAIRS}
        preemptions = self._number("preemptions", 2)
        budget_s = float(self.request.get("budget_s", 60))
        witnesses = self._number("witnesses", 20)
        chosen = list(pairs) if self.request.get("pair") == "all" else [self._name("pair", pairs)]
        for name in chosen:
            began = time.monotonic()
            maker = self._maker(pairs[name])
            if maker is None:
                continue

            def tick(progress: Progress, name: str = name) -> None:
                if time.monotonic() - self.shown_s >= PROGRESS_EVERY_S:
                    self.shown_s = time.monotonic()
                    self._print(kind="progress", pair=name, **vars(progress))

            with _theatre():
                self.shown_s = time.monotonic()

                def run(chooser: Chooser, maker: Any = maker) -> list[Any]:
                    failures: list[Any] = maker(chooser).run()
                    return failures

                search = Search(run, preemptions, budget_s, tick=tick)
                for found in search:
                    if search.progress.failed <= witnesses:
                        self._tell(maker(Chooser(found.choices)), found.number, None)
                    else:
                        self._schedule(found.number, found.choices, found.failures, [])
            progress = search.progress
            self._summary(name, progress.tried, progress.pruned, progress.failed, progress.exhausted, began)

    def _tell(self, stage: Any, number: int, chooser: Chooser | None) -> list[Any]:
        """Run a stage with a recorder, and print it."""
        from .witness import Recorder

        stage.recorder = Recorder()
        failures: list[Any] = stage.run()
        stage.recorder.finish()
        choices = (chooser or stage.world.chooser).choices
        self._schedule(number, choices, failures, stage.recorder.as_json())
        return failures

    def _schedule(self, number: int, choices: bytes, failures: list[Any], steps: list[dict[str, Any]]) -> None:
        self._print(
            kind="schedule",
            n=number,
            schedule=encode(choices),
            ok=not failures,
            failures=[{"invariant": failure.invariant, "detail": failure.detail} for failure in failures],
            steps=steps,
        )

    def _summary(self, name: str, tried: int, pruned: int, failed: int, exhausted: bool, began: float) -> None:
        import importlib

        from .comms import RUNNER

        comms = importlib.import_module(RUNNER).TriggerCommsDecoder
        self._print(
            kind="summary",
            pair=name,
            tried=tried,
            pruned=pruned,
            failed=failed,
            exhausted=exhausted,
            seconds=round(time.monotonic() - began, 3),
            release=importlib.import_module("airflow").__version__,
            python=platform.python_version(),
            comms=f"{comms.__module__}.{comms.__qualname__}",
        )

    def _maker(self, pair: Any) -> Any:
        from .comms import UnknownOperationError
        from .pairs import stage_maker

        try:
            return stage_maker(pair)
        except UnknownOperationError as unknown:
            self._print(kind="unknown_operation", operation=pair.name, why=str(unknown))
            return None

    def _name(self, key: str, known: dict[str, Any]) -> str:
        name = self.request.get(key)
        if name not in known:
            raise _BadRequestError(f"there is no {key} {name!r}: there are {', '.join(known)}")
        return str(name)

    def _number(self, key: str, default: int) -> int:
        value = self.request.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _BadRequestError(f"{key} must be a whole number, and is {value!r}")
        return value

    def _print(self, **line: Any) -> None:
        print(json.dumps(line), file=self.out, flush=True)


def _theatre() -> Any:
    from .comms import theatre

    return theatre()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
