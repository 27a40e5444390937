"""What a reviewer asks for, from the steps of a reproducer's schedule: frame, commit boundary, statements. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Steps = Sequence[Mapping[str, Any]]

_ENDS = ("COMMIT", "ROLLBACK")
_FINE = re.compile(r"done|stops|ends|is cancelled|-?\d+ rows")
_WRITES = ("UPDATE", "INSERT", "DELETE")


def raising(steps: Steps) -> Mapping[str, Any] | None:
    """The first step that ends with an error; None if every transaction goes through."""
    return next((step for step in steps if step["outcome"] and not _FINE.fullmatch(step["outcome"])), None)


def boundaries(steps: Steps) -> list[str]:
    """One sentence for each actor that ends a transaction: how many statements, and where it ends."""
    found = []
    open_statements: dict[str, int] = {}
    for step in steps:
        actor = step["actor"]
        if step["what"] not in _ENDS:
            open_statements[actor] = open_statements.get(actor, 0) + 1
            continue
        number = open_statements.pop(actor, 0)
        at = step["frame"] or "the end of the call (its caller owns the session)"
        found.append(
            f"{actor}: {step['operation']}, {number} statement{'' if number == 1 else 's'}, {step['what']} at {at}"
        )
    return found


def statements(steps: Steps) -> list[Mapping[str, Any]]:
    """For each actor the step that collides: the one that fails, else the one that waits, else its last write."""
    actors = dict.fromkeys(step["actor"] for step in steps)
    found = []
    for actor in actors:
        own = [step for step in steps if step["actor"] == actor and step["what"] not in _ENDS]
        failed = raising(own)
        waiting = next((step for step in own if step["waited_for"]), None)
        last_write = next((step for step in reversed(own) if step["what"].startswith(_WRITES)), None)
        chosen = failed or waiting or last_write or (own[-1] if own else None)
        if chosen is not None:
            found.append(chosen)
    return found
