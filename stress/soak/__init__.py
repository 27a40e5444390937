"""The soak: one long run on containers, and everything that is worth keeping of it, however it ends.

    python3 -m stress.soak [--duration 10m] [--seed N] [--airflow X.Y.Z] [--out DIR] [--beyond 20m]
    python3 -m stress.soak --finish --out DIR      complete a soak that was killed

It needs Docker with Compose v2 and Python 3.11, and installs nothing: this package, and all that it imports, use the
standard library alone. The nightly workflow calls it as `.ci/nightly`.

    summary.md       the verdict and its table first; also on a GitHub job's page ($GITHUB_STEP_SUMMARY)
    junit.xml        the run's races, and one more test case for the soak itself
    runs/ID/         the run's directory: history, manifest, results, report, logs of every block
    compose.log      the output of `docker compose up`
    containers.*     the containers according to Compose and the engine, and their output
    engine.txt       versions and images
    nightly.json     the soak's options and progress

Ctrl-C, SIGTERM or the end of the time (--duration and --beyond) asks the run to end and to judge what it recorded; a
second signal kills it. A run that was killed is judged from its stored history. The containers are removed in every
case. If the soak itself is killed, `--finish` does the rest. It does not continue the run: a soak that resumes is the
command `stress soak --resume` of docs/design.md, which does not exist yet.

Exit codes: 0 only if the run ended with 0: every race was seen on the control arm, and removed. 1 a race remains, or
its removal is traded for harm; 2 unknown; 3 the harness, the cluster or the machine failed; 64 bad options; 130 and 143
interrupted before any evidence.

options.py    the command line, checked whole
state.py      what was asked for and how far it came (`nightly.json`)
docker.py     the command line of the engine and of Compose
run.py        `docker compose up` until it ends or must end; signals
collect.py    what the engine and Compose know of it, and the run's directory
assess.py     the exit code, and everything that contradicts it
summary.py    the page
junit.py      the test cases
finish.py     collect, judge, report, remove
"""
