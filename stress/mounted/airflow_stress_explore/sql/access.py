"""What a statement accesses, by its text: the tables that it reads, locks and writes; and which accesses conflict.

Two steps of two actors are *independent* if their order cannot matter; schedules that differ only in the order of
independent steps are one schedule. This is decided by table, and in doubt the answer is "conflict": a wrong
"independent" would hide a schedule, a wrong "conflict" only costs time.

What PostgreSQL's READ COMMITTED allows to say:

- A plain SELECT takes no lock that another actor waits for, and does not see what is not committed: it conflicts only
  with commits of transactions that wrote one of its tables.
- A statement that writes or locks rows conflicts with statements of others that do so on the same table, and with the
  commit or rollback that releases locks there.
- A write to a table makes the server lock the rows that its foreign keys point to (`FOR KEY SHARE`): two of those do
  not conflict, one and a lock or write of that table do. A DELETE writes every table that points to its table, and so
  on.
- An advisory lock counts as a table that is locked.

A statement that this module does not understand conflicts with every other one:

- another verb: MERGE, CALL, DO, COPY, EXECUTE, DDL; LOCK TABLE and TRUNCATE, for whose locks even a plain SELECT waits;
- ROLLBACK TO SAVEPOINT, which releases locks; SET CONSTRAINTS, which checks foreign keys;
- SELECT INTO, and a write to anything but a plain table of the schema;
- a call of a function that is not known to be pure. Pure are functions that PostgreSQL has as not VOLATILE; of
  functions that a user has defined only IMMUTABLE ones, because a STABLE one may read any table. `nextval` is not pure:
  the order of two calls decides who gets which number;
- a name of something that does more than its text says (`Schema.opaque`): a view, a partitioned table, a table with
  triggers or rules, a table of another schema;
- comments and dollar quotes, which the expressions below do not parse.

Limit: user-defined operators and casts are taken for pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_NAME = r"(?:only\s+)?(?:\"?\w+\"?\s*\.\s*)?\"?(\w+)"
_WRITE = re.compile(rf"\b(insert into|(?<!for )(?<!no key )(?<!do )update|delete from)\s+{_NAME}")
_LOCKING = re.compile(
    r"\bfor (?:no key update|update|key share|share)\b(?:\s+of\s+([\w\s,\".]+?))?"
    r"(?=\s*(?:skip|nowait|for|limit|\)|;|$))"
)
_FROM = re.compile(r"\b(?:from|join)\s+\"?(\w+)\"?(?:\s+(?:as\s+)?\"?(\w+))?")
_STRING = re.compile(r"'(?:[^']|'')*'")
_UNPARSED = re.compile(r"--|/\*|\$\w*\$|\\'")
_INTO = re.compile(r"(?<!insert )\binto\b")
_CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\"?\s*\(")

_VERBS = frozenset(("select", "insert", "update", "delete", "with", "values", "savepoint", "release", "show", "set"))
"""First words of statements that the expressions above can parse."""

_HARMLESS = frozenset(
    ("clock_timestamp", "random", "gen_random_uuid", "timeofday", "pg_backend_pid", "currval", "lastval")
)
"""Functions that PostgreSQL has as volatile, although they write no row and wait for no other transaction."""

ADVISORY = "(advisory)"
UNKNOWN = "(unknown)"
"""Locked by each statement that was not understood, so that two of them conflict, too."""


@dataclass(frozen=True)
class AccessSet:
    """Tables, by what is done to them."""

    reads: frozenset[str] = frozenset()
    """Read without a lock."""

    locks: frozenset[str] = frozenset()
    """Rows written, or locked with SELECT ... FOR."""

    shares: frozenset[str] = frozenset()
    """Rows that foreign keys point to: protected from being deleted."""

    writes: frozenset[str] = frozenset()
    """The part of `locks` that others can see after the commit."""

    def with_(self, other: AccessSet) -> AccessSet:
        """What one transaction holds after both."""
        return AccessSet(frozenset(), self.locks | other.locks, self.shares | other.shares, self.writes | other.writes)


@dataclass(frozen=True)
class Access:
    """A step as far as order matters: a statement's access set, or the end of a transaction with what it held."""

    set: AccessSet
    ends: bool = False
    """A commit or rollback: `locks` and `shares` are what it releases, `writes` what others see from now on."""

    @property
    def only_reads(self) -> bool:
        """Whether the step is a read that takes no lock."""
        return not self.ends and self.set == AccessSet(self.set.reads)

    def conflicts(self, other: Access) -> bool:
        """Whether the order of two steps of two actors could matter. Asked thousands of times a schedule."""
        a, b = self.set, other.set
        if UNKNOWN in a.locks or UNKNOWN in b.locks:
            return True
        if self.ends:
            if other.ends:
                return not a.writes.isdisjoint(b.writes)
            a, b = b, a
        if self.ends or other.ends:
            return not (
                a.reads.isdisjoint(b.writes)
                and a.locks.isdisjoint(b.locks)
                and a.locks.isdisjoint(b.shares)
                and a.shares.isdisjoint(b.locks)
                and a.shares.isdisjoint(b.shares)
            )
        return not (a.locks.isdisjoint(b.locks) and a.locks.isdisjoint(b.shares) and a.shares.isdisjoint(b.locks))


@dataclass(frozen=True)
class Schema:
    """The tables of a database, which points to which, and what of its text can be understood."""

    tables: frozenset[str]
    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    children: Mapping[str, frozenset[str]] = field(default_factory=dict)
    pure: frozenset[str] = frozenset()
    """Words that may stand before a parenthesis: keywords, and functions that neither write nor read a table."""

    opaque: frozenset[str] = frozenset()
    """Names, in lower case, of relations that access more than their own rows."""

    @classmethod
    def of(
        cls,
        tables: Iterable[str],
        foreign_keys: Iterable[tuple[str, str]],
        pure: Iterable[str] = (),
        opaque: Iterable[str] = (),
    ) -> Schema:
        """From names and pairs (child, parent). Tables with names that need quotes are opaque."""
        parents: dict[str, set[str]] = {}
        children: dict[str, set[str]] = {}
        for child, parent in foreign_keys:
            parents.setdefault(child, set()).add(parent)
            children.setdefault(parent, set()).add(child)
        known = frozenset(tables)
        quoted = {table.lower() for table in known if not _WORD.fullmatch(table)}
        return cls(
            known,
            {name: frozenset(found) for name, found in parents.items()},
            {name: frozenset(found) for name, found in children.items()},
            frozenset(pure),
            frozenset(name.lower() for name in opaque) | quoted,
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


class _ById:
    """Makes an unhashable schema a key: there is one for each process and database."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.schema is self.schema


def access_set(statement: str, schema: Schema) -> AccessSet:
    """What a statement accesses. Memoised, because a search sees the same few statements over and over."""
    return _access_set(statement, _ById(schema))


@lru_cache(maxsize=4096)
def _access_set(statement: str, key: _ById) -> AccessSet:
    schema = key.schema
    text = " ".join(_STRING.sub("''", statement).lower().split())
    if _UNPARSED.search(statement) or not _understood(text, schema):
        everything = schema.tables | {ADVISORY, UNKNOWN}
        return AccessSet(locks=everything, writes=everything)
    named = frozenset(_WORD.findall(text)) & schema.tables
    writes: set[str] = set()
    for verb, table in _WRITE.findall(text):
        writes.add(table)
        if verb == "delete from":
            writes |= schema.below(table)
    locks = set(writes)
    aliases = {alias: table for table, alias in _FROM.findall(text) if table in schema.tables}
    for of in _LOCKING.findall(text):
        tables = {aliases.get(word, word) for word in _WORD.findall(of)}
        # Without OF, or with a name that is not resolved: every table that is named.
        locks |= tables if tables and tables <= schema.tables else named
    if "advisory" in text:
        locks.add(ADVISORY)
    shares = {parent for table in writes for parent in schema.parents.get(table, ())} - locks
    return AccessSet(named - locks, frozenset(locks), frozenset(shares), frozenset(writes))


def _understood(text: str, schema: Schema) -> bool:
    """Whether the expressions of this module find all that a statement accesses. `text`: in lower case."""
    words = text.lstrip("( ").split(None, 2)
    verb, following = (words[0], words[1].rstrip(";")) if len(words) > 1 else (text.strip("(; "), "")
    if verb not in _VERBS or (verb, following) == ("set", "constraints") or _INTO.search(text):
        return False
    if any(table not in schema.tables for _, table in _WRITE.findall(text)):
        return False
    if any(name in text for name in schema.opaque if not _WORD.fullmatch(name)):
        return False
    if not schema.opaque.isdisjoint(_WORD.findall(text)):
        return False
    called = frozenset(_CALL.findall(text)) - schema.pure - schema.tables - _HARMLESS
    return all("advisory" in name for name in called)
