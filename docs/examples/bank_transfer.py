"""A worked example of the schedule explorer: two transfers between two accounts, in three versions.

    python docs/examples/bank_transfer.py [postgresql+psycopg2://...]

    read_then_write     Wrong: it computes the new balances from values that it has read. A transfer that commits
                        between the read and the write is lost.
    in_transfer_order   Wrong: it locks the source account first. Transfers in opposite directions lock the accounts in
                        opposite orders, which is a deadlock.
    in_id_order         Correct: each UPDATE computes from the row that it locks, and all transfers lock in the order of
                        the ids.

`docs/explorer.md` explains the output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from examples_support import database, explore
from sqlalchemy import Connection, Engine, text

from airflow_stress_explore.core import Failure
from airflow_stress_explore.sql import Actor, Execution, Testbed

# -- the program ---------------------------------------------------------------------------------------------------

TABLES = """
DROP TABLE IF EXISTS account;
CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO account VALUES (1, 100), (2, 100);
"""
TOTAL = 200

READ = text("SELECT balance FROM account WHERE id = :id")
WRITE = text("UPDATE account SET balance = :balance WHERE id = :id")
ADD = text("UPDATE account SET balance = balance + :amount WHERE id = :id")


def read_then_write(connection: Connection, source: int, target: int, amount: int) -> None:
    """Loses a transfer that commits between its first read and its first write."""
    of_source = connection.execute(READ, {"id": source}).scalar_one()
    of_target = connection.execute(READ, {"id": target}).scalar_one()
    connection.execute(WRITE, {"id": source, "balance": of_source - amount})
    connection.execute(WRITE, {"id": target, "balance": of_target + amount})
    connection.commit()


def in_transfer_order(connection: Connection, source: int, target: int, amount: int) -> None:
    """Deadlocks with a transfer in the opposite direction."""
    connection.execute(ADD, {"id": source, "amount": -amount})
    connection.execute(ADD, {"id": target, "amount": amount})
    connection.commit()


def in_id_order(connection: Connection, source: int, target: int, amount: int) -> None:
    """Correct: one order of locks for all transfers, and no value that was read before its lock."""
    for account, change in sorted([(source, -amount), (target, amount)]):
        connection.execute(ADD, {"id": account, "amount": change})
    connection.commit()


Transfer = Callable[[Connection, int, int, int], None]
VERSIONS: dict[str, Transfer] = {
    version.__name__: version for version in (read_then_write, in_transfer_order, in_id_order)
}

# -- its exploration -----------------------------------------------------------------------------------------------


def testbed(engine: Engine, transfer: Transfer) -> Testbed:
    """Two transfers in opposite directions at the same time."""

    def work(source: int, target: int, amount: int) -> Callable[[], None]:
        def run() -> None:
            with engine.connect() as connection:
                transfer(connection, source, target, amount)

        return run

    actors = [Actor("10 from 1 to 2", work(1, 2, 10)), Actor("20 from 2 to 1", work(2, 1, 20))]
    return Testbed(engine, actors, invariants=[total_is_kept])


def total_is_kept(played: Execution) -> Iterator[Failure]:
    """Money is neither made nor destroyed. (That no transfer is lost is checked by the built-in `lost_update`.)"""
    total = sum(row["balance"] for row in played.contents("account"))
    if total != TOTAL:
        yield Failure("total", f"the balances add up to {total}, not {TOTAL}")


def main(arguments: list[str]) -> Any:
    """Explore each version."""
    with database(TABLES, *arguments) as engine:
        for name, transfer in VERSIONS.items():
            explore(name, testbed(engine, transfer))


if __name__ == "__main__":
    main(sys.argv[1:])
