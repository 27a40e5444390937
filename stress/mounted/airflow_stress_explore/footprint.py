"""What a statement touches, by its text: the tables that it reads, locks, and makes others check.

Two steps of two actors are *independent* if their order can't matter; schedules that differ only in the order of
independent steps are one schedule. This is decided by table, and in doubt "dependent": a wrong "independent" would
hide a schedule, a wrong "dependent" only costs time.

What PostgreSQL's READ COMMITTED, which Airflow uses, allows to be said:

- A plain SELECT takes no lock that anybody here waits for, and doesn't see what is not committed: it only depends on
  commits of transactions that wrote one of its tables.
- A statement that writes or locks rows depends on the others' statements that do so on the same table, and on the
  commit or rollback that lets go of locks there.
- A write to a table makes the server look at the rows that its foreign keys point to (`FOR KEY SHARE`): two of those go
  together, one and a lock or write of that table don't. A DELETE writes every table that points to it, and so on.
- An advisory lock counts as a table that is locked.
- A statement that this module cannot read conflicts with every other one: another verb (MERGE, CALL, DO, COPY, DDL),
  ROLLBACK TO SAVEPOINT, which releases locks, SELECT INTO, and a call of a function that may write. PostgreSQL says
  which may: a function that is not declared VOLATILE cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_WRITE = re.compile(
    r"\b(insert into|(?<!for )(?<!no key )(?<!do )update|delete from|lock table|truncate)\s+(?:only\s+)?\"?(\w+)"
)
_LOCKING = re.compile(
    r"\bfor (?:no key update|update|key share|share)\b(?:\s+of\s+([\w\s,\".]+?))?"
    r"(?=\s*(?:skip|nowait|for|limit|\)|;|$))"
)
_FROM = re.compile(r"\b(?:from|join)\s+\"?(\w+)\"?(?:\s+(?:as\s+)?\"?(\w+))?")
_STRING = re.compile(r"'(?:[^']|'')*'")

_VERBS = frozenset(
    ("select", "insert", "update", "delete", "with", "values", "truncate", "savepoint", "release", "show")
)
"""First words of statements that the expressions above can read. `lock table` and `set` are two more."""

_CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\"?\s*\(")
_HARMLESS = frozenset(
    {
        *("clock_timestamp", "random", "gen_random_uuid", "timeofday", "pg_backend_pid", "currval", "lastval"),
        "nextval",  # not undone by a rollback, and no other transaction waits for it
    }
)
"""Volatile functions that write no row and take no lock that another transaction could wait for."""

ADVISORY = "(advisory)"
UNKNOWN = "(unknown)"
"""Locked by each statement that could not be read, so that two of them conflict, too."""


@dataclass(frozen=True)
class Footprint:
    """Tables, by what is done to them."""

    reads: frozenset[str] = frozenset()
    """Looked at without a lock."""

    locks: frozenset[str] = frozenset()
    """Rows written, or locked with SELECT ... FOR."""

    shares: frozenset[str] = frozenset()
    """Rows that foreign keys point to: kept from being deleted."""

    writes: frozenset[str] = frozenset()
    """The part of `locks` that others can see after the commit."""

    def with_(self, other: Footprint) -> Footprint:
        """What one transaction holds after both."""
        return Footprint(frozenset(), self.locks | other.locks, self.shares | other.shares, self.writes | other.writes)


@dataclass(frozen=True)
class Schema:
    """The tables of a database, and which points to which."""

    tables: frozenset[str]
    parents: Mapping[str, frozenset[str]]
    children: Mapping[str, frozenset[str]]
    volatile: frozenset[str] = frozenset()
    """Functions that may write, by their names."""

    @classmethod
    def of(cls, tables: Iterable[str], foreign_keys: Iterable[tuple[str, str]], volatile: Iterable[str] = ()) -> Schema:
        """From names and pairs (child, parent)."""
        parents: dict[str, set[str]] = {}
        children: dict[str, set[str]] = {}
        for child, parent in foreign_keys:
            parents.setdefault(child, set()).add(parent)
            children.setdefault(parent, set()).add(child)
        return cls(
            frozenset(tables),
            {name: frozenset(found) for name, found in parents.items()},
            {name: frozenset(found) for name, found in children.items()},
            frozenset(volatile),
        )

    def below(self, table: str) -> frozenset[str]:
        """All tables that point to this one, directly or through others."""
        found: set[str] = set()
        waiting = [table]
        while waiting:
            for child in self.children.get(waiting.pop(), ()):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return frozenset(found)


def footprint(statement: str, schema: Schema) -> Footprint:
    """What a statement touches. Kept, because a search sees the same few statements over and over."""
    return _footprint(statement, _Keep(schema))


class _Keep:
    """Lets an unhashable schema be a key: there is one a process."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keep) and other.schema is self.schema


@lru_cache(maxsize=4096)
def _footprint(statement: str, keep: _Keep) -> Footprint:
    schema = keep.schema
    text = " ".join(_STRING.sub("''", statement).lower().split())
    if not _readable(text, schema):
        everything = schema.tables | {ADVISORY, UNKNOWN}
        return Footprint(locks=everything, writes=everything)
    named = frozenset(_WORD.findall(text)) & schema.tables
    writes: set[str] = set()
    for verb, table in _WRITE.findall(text):
        if table not in schema.tables:
            continue
        writes.add(table)
        if verb in ("delete from", "truncate"):
            writes |= schema.below(table)
    locks = set(writes)
    aliases = {alias: table for table, alias in _FROM.findall(text) if table in schema.tables}
    for of in _LOCKING.findall(text):
        wanted = set(_WORD.findall(of)) if of else set()
        tables = {aliases.get(word, word) for word in wanted} & schema.tables
        # Without OF, or with names that we can't resolve: everything that is named.
        locks |= tables or named
    if "advisory" in text:
        locks.add(ADVISORY)
    shares = {parent for table in writes for parent in schema.parents.get(table, ())} - locks
    return Footprint(named - locks, frozenset(locks), frozenset(shares), frozenset(writes))


def _readable(text: str, schema: Schema) -> bool:
    """Whether the expressions of this module find all that a statement touches. `text`: in lower case."""
    words = text.lstrip("( ").split(None, 2)
    verb, following = (words[0], words[1].rstrip(";")) if len(words) > 1 else (text.strip("(; "), "")
    if verb not in _VERBS and (verb, following) != ("lock", "table") and verb != "set":
        return False
    if verb == "select" and re.search(r"\binto\b", text):
        return False
    if "merge into" in text:
        return False
    called = frozenset(_CALL.findall(text)) & schema.volatile
    return all(name in _HARMLESS or "advisory" in name for name in called)


@dataclass(frozen=True)
class Touch:
    """A step as far as order matters: a statement's footprint, or the end of a transaction with what it held."""

    footprint: Footprint
    ends: bool = False
    """A commit or rollback: `locks` and `shares` are what it lets go of, `writes` what others see from now on."""


def dependent(one: Touch, other: Touch) -> bool:
    """Whether the order of two steps of two actors could matter. Asked thousands of times a schedule."""
    a, b = one.footprint, other.footprint
    if UNKNOWN in a.locks or UNKNOWN in b.locks:
        return True
    if one.ends:
        if other.ends:
            return not a.writes.isdisjoint(b.writes)
        a, b = b, a
    if one.ends or other.ends:
        return not (
            a.reads.isdisjoint(b.writes)
            and a.locks.isdisjoint(b.locks)
            and a.locks.isdisjoint(b.shares)
            and a.shares.isdisjoint(b.locks)
            and a.shares.isdisjoint(b.shares)
        )
    return not (a.locks.isdisjoint(b.locks) and a.locks.isdisjoint(b.shares) and a.shares.isdisjoint(b.locks))
