"""A `docker` command for tests of the soak: a harness that is killed or a Compose that fails, without minutes of a
real cluster. `stress report` is real.

    FAKE_DOCKER   a directory. Read: `play`, the outcome, and `run`, the run's directory that the harness leaves.
                  Written: `calls`, the commands, a line each; `up`, `asked` and `killed` mark the progress
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# A soak starts this a dozen times: each command imports what it needs.

HERE = Path(os.environ["FAKE_DOCKER"])
PLAY = (HERE / "play").read_text()
ROOT = Path(__file__).resolve().parent.parent.parent

CODES = {"passes": 0, "fails": 1, "killed": 137, "silent": 0, "forged": 0, "refused": 64, "unreadable": 137}


def compose(words: list[str]) -> int:
    command, *rest = words
    if command == "up":
        return up()
    if command == "run":
        return report(rest)
    if command == "ps":
        return ps(rest)
    if command == "kill":
        (HERE / ("asked" if "SIGTERM" in rest else "killed")).touch()
    elif command == "logs":
        print("scheduler-1  | 2026-11-21T10:00:00Z started")
    elif command == "--profile":
        print("volume in use" if PLAY == "stuck" else "removed")
        return int(PLAY == "stuck")
    elif command == "config":
        print("apache/airflow:3.2.1")
    return 0


def up() -> int:
    import shutil
    import time

    print("stress-1  | run 20270115-080000-abcdef: stock against fixed", flush=True)
    if PLAY == "no cluster":
        print("dependency failed to start: container migrate exited (1)")
        return 1
    (HERE / "up").touch()
    if (HERE / "run").exists():
        shutil.copytree(HERE / "run", Path(os.environ["AIRFLOW_STRESS_RUNS"]) / "20270115-080000-abcdef")
    code = CODES.get(PLAY)
    if code is None:  # it goes on until it is asked to end, or killed
        last = HERE / ("killed" if PLAY == "deaf" else "asked")
        while not last.exists():
            time.sleep(0.05)
        code = 137 if PLAY == "deaf" else 2
    (HERE / "code").write_text(str(code))
    return code


def report(words: list[str]) -> int:
    import subprocess

    if PLAY == "unreadable":
        print("no space left on device")
        return 1
    harness = words[words.index("stress") + 1 :]
    runs = Path(os.environ["AIRFLOW_STRESS_RUNS"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.call([sys.executable, "-m", "stress", *harness], cwd=runs.parent, env=environment)


def ps(words: list[str]) -> int:
    if "running" in words:
        print("abc" if (HERE / "up").exists() and not (HERE / "code").exists() else "")
    elif "--quiet" in words and PLAY != "no engine":
        print("def\nabc")
    return 0


def inspect() -> int:
    import json

    labels = {"com.docker.compose.service": "stress"}
    code = HERE / "code"
    state: dict[str, object] = {"Status": "created", "OOMKilled": PLAY == "unreadable"}
    if code.exists():
        state |= {"Status": "exited", "ExitCode": int(code.read_text())}
    migrate = {"Config": {"Labels": {"com.docker.compose.service": "migrate"}}, "State": {"Status": "exited"}}
    print(json.dumps([migrate, {"Config": {"Labels": labels}, "State": state}]))
    return 0


def main(words: list[str]) -> int:
    with (HERE / "calls").open("a") as calls:
        calls.write(" ".join(words) + "\n")
    if PLAY == "no engine" and words[0] == "version":
        print("Cannot connect to the Docker daemon")
        return 1
    if words[0] == "compose" and words[1] != "version":
        while words[1].startswith("--project") or words[1] == "--file":
            del words[1:3]
        return compose(words[1:])
    if words[0] == "inspect":
        return inspect()
    print("1.29.2" if PLAY == "old compose" and words[0] == "compose" else "2.26.1")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
