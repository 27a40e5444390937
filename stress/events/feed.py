"""The change feed: every committed change of the rows that matter, in commit order, by PostgreSQL's logical decoding.

Values are PostgreSQL's text form: `t` and `f`, `2026-11-25 17:31:08.25+00`, `\\x00ff`. Columns that no checker needs
are left out (`stress/observers/feed/tables.py`). Transactions are in the block's feed file and not in the journal
(`stress/feed.py`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stress.events.base import Event


class RowChange(msgspec.Struct, frozen=True):
    """One change of one row.

    `key` has the values of the primary key before the change, in the order of the table's columns: a clear gives a task
    instance another id, and then `columns` has the new one. `columns` has every column of interest for an insert, only
    those that changed, with their new values, for an update, and none for a delete. A truncated table is a delete of
    each row. An update that changes no column of interest is left out.
    """

    table: str
    op: Literal["insert", "update", "delete"]
    key: tuple[str, ...]
    columns: dict[str, str | None] = {}


class TransactionCommitted(Event, frozen=True, kw_only=True, tag="transaction_committed"):
    """One committed transaction that changed a row of interest, with its changes in the order of their execution.

    `lsn` is the position of its commit in the write-ahead log, `at` the server's time of the commit (unix seconds).
    Transactions are in the order of `lsn`, which is not always the order of `at`. `writer` is the `application_name` of
    the session, a component's name, empty where it is not known.

    The first transaction of a block has `xid` 0: it inserts the rows that were there when the feed began.
    """

    xid: int
    lsn: int
    at: float
    writer: str
    changes: tuple[RowChange, ...]


class FeedEnded(Event, frozen=True, kw_only=True, tag="feed_ended"):
    """The feed was read up to the last change of the block: how much it holds, and its greatest delay.

    `transactions` is what a reader of the block's feed file must find in it, `bytes` what the server sent.
    `largest_lag_s` is the longest time from a commit to its reading.
    """

    transactions: int
    changes: int
    bytes: int
    largest_lag_s: float
