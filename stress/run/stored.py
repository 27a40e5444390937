"""A stored run is judged again."""

from __future__ import annotations

from pathlib import Path

from stress import history, manifest
from stress.judge.history import judge_history
from stress.manifest import Manifest
from stress.results import Results, RunState


def analyse(directory: Path) -> tuple[Manifest, Results]:
    """Judge a stored run again. A run whose state is running but whose harness is dead was interrupted.

    Raises FileNotFoundError, ValueError or msgspec.MsgspecError with what is wrong with the directory.
    """
    kept = manifest.load(directory)
    state = RunState(kept.state)
    if kept.abandoned(directory):
        state = RunState.INTERRUPTED
        kept = kept.with_state(state, error="the harness was killed")
        manifest.save(kept, directory)
    elif state not in (RunState.DONE, RunState.INTERRUPTED, RunState.FAILED):
        raise ValueError(f"the run in {directory} is still {state}: wait for its end, or interrupt it")
    errors = (kept.error,) if kept.error else ()
    return kept, judge_history(history.read(directory / history.FILE_NAME), state, errors=errors)
