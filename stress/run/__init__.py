"""A run, from its plan to its reports.

lifecycle.py  `Run`: the order of everything, and what an interrupt or a failure leads to
parts.py      what a run takes from outside: the runtime, the load, the observers, the clock, the metrics' port
store.py      `RunStore`: the run's directory with its manifest, journal and reports
stop.py       when a run has enough: pure
live.py       `LiveJudge`: counts and verdicts while the run lasts, for the screen and the metrics
block.py      `Block`: one arm's turn
settings.py   what every block's cluster is configured with
stored.py     a stored run is judged again
"""
