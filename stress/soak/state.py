"""What a soak was asked for and how far it came, kept in `nightly.json` for `--finish`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stress.cache import write_atomically

STATE = "nightly.json"


@dataclass
class Soak:
    """One soak. `out` is its directory; everything else is in the file."""

    duration: str
    duration_s: float
    beyond_s: float
    seed: int
    airflow: str | None
    project: str
    """Of Docker Compose."""
    compose_code: int | None = None
    """The exit code of `docker compose up`; None as long as it has none."""
    signals: list[str] = field(default_factory=list)
    """Received before the end of the run, in order."""
    reasons: list[str] = field(default_factory=list)
    """Why the soak cannot be trusted, for any verdict of its run."""
    code: int | None = None
    """The soak's exit code, once it is complete."""
    out: Path = Path()

    @property
    def runs(self) -> Path:
        """The directory in which the run makes its own."""
        return self.out / "runs"

    def save(self) -> None:
        """Write `nightly.json`, whole or not at all."""
        state = {name: value for name, value in asdict(self).items() if name != "out"}
        write_atomically(self.out / STATE, json.dumps(state, indent=2) + "\n")

    @classmethod
    def load(cls, out: Path) -> Soak:
        """The soak of a directory. Raises OSError, or ValueError or TypeError if its file is not one of ours."""
        return cls(**json.loads((out / STATE).read_text()), out=out)


def say(line: str) -> None:
    """Print a line of progress."""
    print(f"nightly: {line}", flush=True)
