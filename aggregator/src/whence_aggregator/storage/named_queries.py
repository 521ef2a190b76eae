"""Named queries: `-- name: x` starts one, `:name` is a parameter. An override file replaces single queries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z_]+)\n", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


@dataclass(frozen=True, slots=True)
class NumberedQuery:
    """A query in PostgreSQL's form: `$1` for the first of `parameters`."""

    sql: str
    parameters: tuple[str, ...]


def load(dialect: str) -> dict[str, str]:
    """Give all queries for a dialect by name."""
    queries = _parse("queries.sql")
    if dialect != "sqlite":
        overrides = _parse(f"queries.{dialect}.sql")
        assert overrides.keys() <= queries.keys(), "an override must replace a query that exists"
        queries.update(overrides)
    return queries


def numbered(queries: Mapping[str, str]) -> dict[str, NumberedQuery]:
    """Turn `:name` into `$n`."""
    return {name: _number(sql) for name, sql in queries.items()}


def migrations(dialect: str) -> list[tuple[int, str]]:
    """Give the migrations of a dialect in order: numbered files, some for one dialect only."""
    found = []
    for file in (resources.files("whence_aggregator.storage") / "migrations").iterdir():
        parts = file.name.split(".")
        if parts[-1] == "sql" and (len(parts) == 2 or parts[1] == dialect):
            found.append((int(parts[0].partition("_")[0]), file.read_text(encoding="utf-8")))
    return sorted(found)


def _parse(name: str) -> dict[str, str]:
    text = (resources.files("whence_aggregator.storage") / name).read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return {query: sql.strip().rstrip(";") for query, sql in zip(parts[::2], parts[1::2], strict=True)}


def _number(sql: str) -> NumberedQuery:
    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return NumberedQuery(_PARAMETER.sub(place, sql), tuple(names))
