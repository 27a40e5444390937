"""The model of what may happen to Airflow's rows, and the checkers of a block's change feed against it.

Pure: `check` reads a block's transactions and answers once, and returns what it found; no clock, no input or output.

======================  =====================================================================================
`states`                the states of rows, as sets
`rules`                 a rule: from which state to which, by which role, under what condition, in which releases
`task_rules`            the rules of task instances, each with the function of Airflow that it describes
`run_rules`             the rules of runs, callbacks and deadlines
`rows`                  what is kept of each row, and the trail that becomes a witness
`answers`               what components answered and users asked for
`caps`                  `max_active_runs`, `max_active_tasks`, pools
`tasks`, `task_checks`  task instances, and the checks of one change
`runs`                  runs, their uniqueness, the refresh of their version
`callbacks`             callbacks, deadlines, and the owners of triggers
`anomalies`             the checkers' names, an anomaly, the findings
`check`                 the one pass
======================  =====================================================================================

A false anomaly is worse than a missed one: where a rule cannot be decided from the feed and the answers, the change is
allowed, and the rule's comment says so.
"""

from __future__ import annotations

from stress.model.anomalies import UNITS, Anomaly, CheckerName, Findings, Known
from stress.model.check import check

__all__ = ["UNITS", "Anomaly", "CheckerName", "Findings", "Known", "check"]
