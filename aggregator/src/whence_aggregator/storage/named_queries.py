"""Named queries, one file a capability: `-- name: x` starts one, its first `;` ends it, `:name` is a parameter.

`-- text: x` starts a text that queries of the same file share, as `{text x}`. `{x in texts y}` and `{x in integers y}`
mean that x is in the JSON array :y. A file `CAPABILITY.DIALECT.sql` replaces queries of `CAPABILITY.sql` for that
dialect. A comment `-- types: …` is for packaging/queries.py, which generates the typed constants that the program names
queries by (whence_aggregator/queries).

A query that inserts one tuple of parameters is also prepared for many rows: one statement for a whole batch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal

from whence_aggregator.ports import StorageUnavailable

_NAME = re.compile(r"^-- name: ([a-z_]+)\n", re.MULTILINE)
_TEXT = re.compile(r"^-- text: ([a-z_]+)\n([^;]*);", re.MULTILINE)
_SHARED = re.compile(r"\{text ([a-z_]+)\}")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
TUPLE = re.compile(r"\bvalues\s*\(((?:\s*:[a-z_]+\s*,)*\s*:[a-z_]+\s*)\)", re.IGNORECASE)
MEMBER = re.compile(r"\{([a-z_.]+) in (texts|integers) ([a-z_]+)\}")
FIRST_MIGRATION = 30
"""Databases of earlier versions have no Merkle tree and cannot be migrated."""
OpenMode = Literal["make", "migrate", "read"]
"""What opening a database may do: create it and its tables; migrate existing tables; neither."""
_ARRAY = re.compile(r"\bcast\(:([a-z_]+) as [a-z]+\[\]\)")
_DIALECTS = {
    "sqlite": {
        "{key}": "integer primary key", "{compact}": " without rowid", "{binary}": "", "{find}": "instr",
        "{keys}": "json_each(rules) k",
    },
    "postgres": {
        "{key}": "bigint primary key", "{compact}": "", "{binary}": ' collate "C"', "{find}": "strpos",
        "{keys}": "json_object_keys(rules::json) as k(key)",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NumberedQuery:
    """A query in PostgreSQL's form: `$1` for the first of `parameters`."""

    sql: str
    parameters: tuple[str, ...]
    arrays: frozenset[str] = frozenset()
    """Parameters that are JSON arrays here and arrays in PostgreSQL, whose planner then knows their length."""


@dataclass(frozen=True, slots=True)
class ManyRows:
    """A query split at its tuple of parameters: `before`, then `values …`, then `after`."""

    before: str
    after: str
    parameters: tuple[str, ...]


@cache
def load(dialect: str) -> Mapping[str, str]:
    """Return all queries for a dialect by name."""
    queries = _named(sources(""))
    overrides = _named(sources(dialect))
    assert overrides.keys() <= queries.keys(), "an override must replace a query that exists"
    queries.update(overrides)
    return MappingProxyType({name: plain(sql, dialect) for name, sql in queries.items()})


def sources(dialect: str) -> dict[str, str]:
    """Return the text of each file of queries by capability; with a dialect, of its overrides."""
    found = {}
    for file in (resources.files("whence_aggregator.storage") / "queries").iterdir():
        capability, _, rest = file.name.removesuffix(".sql").partition(".")
        if file.name.endswith(".sql") and rest == dialect:
            found[capability] = file.read_text(encoding="utf-8")
    return dict(sorted(found.items()))


def parse(text: str) -> list[tuple[str, str]]:
    """Return the queries of a file in order: the name, and the text after it, with the texts that it shares."""
    shared = {name: sql.strip() for name, sql in _TEXT.findall(text)}
    wanted = set(_SHARED.findall(text))
    assert shared.keys() == wanted, f"texts that are missing or not used: {sorted(shared.keys() ^ wanted)}"
    parts = _NAME.split(_SHARED.sub(lambda match: shared[match[1]], _TEXT.sub("", text)))[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def statement(text: str) -> str:
    """Return the statement in the text after a query's name."""
    return _COMMENT.sub("", text).partition(";")[0].strip()


def plain(sql: str, dialect: str) -> str:
    """Return a statement in the syntax of a dialect."""
    return MEMBER.sub(_MEMBERS[dialect], sql).replace("{binary}", _DIALECTS[dialect]["{binary}"])


@cache
def numbered(dialect: str) -> Mapping[str, NumberedQuery]:
    """Return the queries with `$n` for each `:name`."""
    return MappingProxyType({name: _number(sql) for name, sql in load(dialect).items()})


@cache
def many_rows(dialect: str) -> Mapping[str, ManyRows]:
    """Return the queries that insert one tuple, prepared for many rows."""
    found = {}
    for name, sql in load(dialect).items():
        match = TUPLE.search(sql)
        if match is not None and not PARAMETER.search(sql[match.end() :]):
            parameters = tuple(PARAMETER.findall(match[1]))
            found[name] = ManyRows(sql[: match.start()], sql[match.end() :], parameters)
    return MappingProxyType(found)


@cache
def migrations(dialect: str) -> Sequence[tuple[int, str]]:
    """Return the migrations of a dialect in order: numbered files, some for one dialect only."""
    found = []
    for file in (resources.files("whence_aggregator.storage") / "migrations").iterdir():
        parts = file.name.split(".")
        if parts[-1] == "sql" and (len(parts) == 2 or parts[1] == dialect):
            sql = file.read_text(encoding="utf-8")
            for word, meaning in _DIALECTS[dialect].items():
                sql = sql.replace(word, meaning)
            found.append((int(parts[0].partition("_")[0]), sql))
    return tuple(sorted(found))


def check_version(version: int, steps: Sequence[tuple[int, str]], mode: OpenMode) -> None:
    """Raise StorageUnavailable if a database of this version (0: it is empty) cannot be opened in this mode."""
    newest = steps[-1][0]
    if version > newest:
        raise StorageUnavailable(
            "database-newer", f"the database is of a newer version ({version}) than this program knows ({newest})",
            fix="run the newer program; to go back to this one, restore the backup taken before the upgrade",
            retryable=False,
        )  # fmt: skip
    if 0 < version < FIRST_MIGRATION:
        raise StorageUnavailable(
            "database-older", "a development version made the database, before the first release",
            fix="start with a new one, or read this one with the version that made it",
            retryable=False,
        )  # fmt: skip
    if version == 0 and mode != "make":
        raise StorageUnavailable(
            "database-empty", "the database holds no ledger", fix="see `database` in the settings", retryable=False
        )
    if version < newest and mode == "read":
        raise StorageUnavailable(
            "database-older", f"the database is of version {version}, and this program reads version {newest}",
            fix="take a backup, then run `whence-aggregator migrate`: it brings the database to this version",
            retryable=False,
        )  # fmt: skip


def _sqlite_member(match: re.Match[str]) -> str:
    return f"{match[1]} in (select value from json_each(:{match[3]}))"  # noqa: S608 - names out of our own file


def _postgres_member(match: re.Match[str]) -> str:
    return f"{match[1]} = any(cast(:{match[3]} as {'bigint' if match[2] == 'integers' else 'text'}[]))"


_MEMBERS = {"sqlite": _sqlite_member, "postgres": _postgres_member}


def _named(files: Mapping[str, str]) -> dict[str, str]:
    queries: dict[str, str] = {}
    for text in files.values():
        for name, sql in parse(text):
            assert name not in queries, f"two queries are named {name}"
            queries[name] = statement(sql)
    return queries


def _number(sql: str) -> NumberedQuery:
    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return NumberedQuery(PARAMETER.sub(place, sql), tuple(names), frozenset(_ARRAY.findall(sql)))
