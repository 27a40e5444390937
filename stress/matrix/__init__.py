"""Races over releases: `stress matrix` and `stress rc`.

A cell is a race on a release. It is answered by the race's reproducers (`stress repro` plays the same ones). Each ends
when the race has occurred `ENOUGH` times, or after all of its plays. A cell is stored when its last reproducer ends, so
that a repeated command with the same directory plays only what is missing:

    parameters.json           what was asked for, and the airflow-stress that answers; another command is refused
    cells/RELEASE/RACE.json   one cell
    cells/RELEASE/NAME.txt    the listing of a reproducer: what happened in its first play
    load.json                 `stress rc`: the counts and verdicts of the run under load
    runs/load-N/              `stress rc`: the directory of that run
    matrix.json  rc.json      the whole answer, as `--json` prints it
    status.md  rc.html        `stress rc`: the table for an issue, and the page with the listings

A cell that failed is not an answer: it is played again by the next command.
"""
