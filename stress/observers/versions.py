"""Task instances on an old version of their DAG: how many there are, and which of them a refresh has passed over.

When a DAG changes, a scheduler gives a run's unfinished task instances the new version, once: from then on the run
counts as refreshed (`check_version_id_exists_in_dr`), and no scheduler updates one that was left out. Stock leaves out
those without a state (up to 3.3.2 its UPDATE does not match NULL). One that had a state before the new version existed,
and is still behind another of its run, was passed over by the refresh itself: stock's one UPDATE waits for every row
and cannot do that; a refresh that skips locked rows does (FINDINGS.md, 5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stress.events import StaleVersionsCounted

_FINISHED = "('success', 'failed', 'skipped', 'upstream_failed', 'removed')"

_STALE = f"""
SELECT count(*) FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
WHERE r.state = 'running' AND r.bundle_version IS NULL AND (ti.state IS NULL OR ti.state NOT IN {_FINISHED})
  AND ti.dag_version_id <> (SELECT v.id FROM dag_version v WHERE v.dag_id = ti.dag_id
                            ORDER BY v.version_number DESC LIMIT 1)
"""  # noqa: S608 - a constant
# A task instance that was cleared after the refresh is behind, too; it has one more try.
_BEHIND = f"""
SELECT count(*) FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
JOIN dag_version own ON own.id = ti.dag_version_id
WHERE r.state = 'running' AND r.bundle_version IS NULL AND ti.try_number <= 1
  AND (ti.state IS NULL OR ti.state NOT IN {_FINISHED})
  AND EXISTS (SELECT 1 FROM task_instance other JOIN dag_version v ON v.id = other.dag_version_id
              WHERE other.dag_id = ti.dag_id AND other.run_id = ti.run_id AND v.version_number > own.version_number
                AND (other.state IS NULL OR other.state NOT IN {_FINISHED}))
"""  # noqa: S608 - a constant
# A cleared one gets the newest version by itself, without a refresh: it is not evidence of one. Scheduling holds the
# run's row lock, as the refresh does, so that a state from before the new version is seen by its refresh.
_PASSED_OVER = f"""
SELECT DISTINCT ti.id::text FROM task_instance ti
JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
JOIN dag_version own ON own.id = ti.dag_version_id
JOIN task_instance other ON other.dag_id = ti.dag_id AND other.run_id = ti.run_id
JOIN dag_version newer ON newer.id = other.dag_version_id
WHERE r.state = 'running' AND r.bundle_version IS NULL
  AND ti.state IS NOT NULL AND ti.state NOT IN {_FINISHED} AND ti.try_number <= 1
  AND other.state IS NOT NULL AND other.state NOT IN {_FINISHED} AND other.try_number <= 1
  AND newer.version_number > own.version_number AND ti.scheduled_dttm < newer.created_at
"""  # noqa: S608 - a constant


class Versions:
    """Looks at the versions of one block's task instances. `rows` runs a statement."""

    def __init__(self, rows: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._rows = rows
        self._passed_over: set[str] = set()

    def look(self, *, wait: bool = False) -> None:
        """Remember which are passed over now: most of them finish soon, on their old version."""
        self._passed_over |= {row[0] for row in self._rows(_PASSED_OVER, wait=wait)}

    def counted(self) -> StaleVersionsCounted:
        """How many there are at the end, and how many were seen passed over at any look."""
        self.look(wait=True)
        return StaleVersionsCounted(
            task_instances=self._rows(_STALE)[0][0],
            behind_their_run=self._rows(_BEHIND)[0][0],
            passed_over=len(self._passed_over),
        )
