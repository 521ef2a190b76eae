"""Generate aggregator/src/whence_aggregator/queries from storage/queries: a typed constant for each query.

Each query is prepared by SQLite, in memory, with the tables of the migrations. The types of its parameters and columns
are those of the tables' columns; those of expressions, and what an outer join makes null, stand in a comment:

    -- types: n int, base_body bytes?, limit int

in the query, or before a file's first query for the whole file. `?` means that it may be null. `--check` writes nothing
and fails when a generated module differs. tests/contract/test_queries.py compares the types with PostgreSQL's.
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import PARAMETER, plain, statement

OUT = Path(__file__).parents[1] / "aggregator/src/whence_aggregator/queries"
_HAND_WRITTEN = ("__init__.py", "query.py")
_PYTHON = {"text": "str", "bigint": "int", "smallint": "int", "integer": "int", "bytea": "bytes"}
_TYPES = re.compile(r"^-- types: (.*)$", re.MULTILINE)
_TYPE = re.compile(r"([a-z_]+) (str|int|bytes)(\?)?")
_TABLES = re.compile(r"\b(?:from|join|into|update)\s+([a-z_]+)\b")
_INSERTED = re.compile(r"^insert into ([a-z_]+)\s*\(([^)]*)\)\s*values\s*\(([^)]*)\)", re.DOTALL)
_CAST = re.compile(r"cast\(:([a-z_]+) as (text|bigint)\)( is null)?")
_RETURNED = re.compile(r"\breturning ([a-z_, ]+)$")
_MARK = "python "
"""Begins the types of the tables' columns, so that none is taken for one that SQLite derives for an expression."""
Columns = dict[str, str]
"""Types by name, as they stand in Python."""


class QueryRefused(Exception):
    """A query that cannot be prepared, or whose types are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A query with the types of what it takes and returns; `columns` is None for one that returns nothing."""

    name: str
    parameters: Columns
    columns: Columns | None


class Describer:
    """Describes queries. `probe` has the tables with Python's types in place of SQL's: SQLite names them by column."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:")
        for _, sql in named_queries.migrations("sqlite"):
            self._database.executescript(sql)
        self._tables = {name: self._table(name) for (name,) in self._database.execute(
            "select name from sqlite_master where type = 'table' and name not like 'sqlite%'"
        )}  # fmt: skip
        self._probe = sqlite3.connect(":memory:")
        for name, columns in self._tables.items():
            declared = ", ".join(f'"{column}" "{_MARK}{type_}"' for column, type_ in columns.items())
            self._probe.execute(f"create table {name} ({declared})")

    def describe(self, name: str, text: str, common: Columns) -> Described:
        """Describe the query that stands in the text; `common` are the types stated for its file."""
        sql, stated = plain(statement(text), "sqlite"), {**common, **stated_types(text)}
        names = dict.fromkeys(PARAMETER.findall(sql))
        try:
            self._database.execute(f"explain {sql}", dict.fromkeys(names))
        except sqlite3.Error as exc:
            raise QueryRefused(f"SQLite refuses it: {exc}") from exc
        columns = self._columns(sql, stated)
        if columns is not None and "left join" in sql and not stated.keys() & columns.keys():
            raise QueryRefused("it has a left join: write the types of columns that it makes null in `-- types:`")
        parameters = self._parameters(sql, list(names), stated)
        unused = stated_types(text).keys() - parameters.keys() - (columns or {}).keys()
        if unused:
            raise QueryRefused(f"it has no parameter or column {', '.join(sorted(unused))}, whose type is stated")
        return Described(name=name, parameters=parameters, columns=columns)

    def _table(self, name: str) -> Columns:
        found = {}
        for _, column, declared, required, _, key in self._database.execute(f"pragma table_info({name})"):
            found[column] = _PYTHON[declared.lower()] + ("" if required or key else " | None")
        return found

    def _columns(self, sql: str, stated: Columns) -> Columns | None:
        """Return the columns of the result, by making a view of the query: SQLite knows where each comes from."""
        returned = _RETURNED.search(sql)
        if returned is not None:
            return {name: stated.get(name) or self._by_name(name, sql) for name in returned[1].split(", ")}
        if not sql.startswith(("select", "with")):
            return None
        self._probe.execute(f"create temp view probe as {PARAMETER.sub('null', sql)}")
        try:
            derived = {name: type_ for _, name, type_, *_ in self._probe.execute("pragma table_info(probe)")}
        finally:
            self._probe.execute("drop view probe")
        unknown = [name for name, type_ in derived.items() if name not in stated and not type_.startswith(_MARK)]
        if unknown:
            raise QueryRefused(f"write the type of {', '.join(unknown)} in `-- types:`: no column of a table has it")
        return {name: stated.get(name) or type_.removeprefix(_MARK) for name, type_ in derived.items()}

    def _parameters(self, sql: str, names: list[str], stated: Columns) -> Columns:
        known: Columns = {}
        for name, cast, nullable in _CAST.findall(sql):
            known[name] = _PYTHON[cast] + (" | None" if nullable or "| None" in known.get(name, "") else "")
        known |= dict.fromkeys(re.findall(r"json_each\(:([a-z_]+)\)", sql), "str")
        inserted = _INSERTED.match(sql)
        if inserted is not None:
            columns, values = (one.replace("\n", " ").split(",") for one in inserted.groups()[1:])
            for column, value in zip(columns, values, strict=True):
                known[value.strip().removeprefix(":")] = self._tables[inserted[1]][column.strip()]
        return {name: stated.get(name) or known.get(name) or self._by_name(name, sql) for name in names}

    def _by_name(self, name: str, sql: str) -> str:
        """Return the type of the columns of this name in the tables that the query names."""
        tables = [self._tables[one] for one in _TABLES.findall(sql) if one in self._tables]
        types = {table[name] for table in tables if name in table}
        if len(types) != 1:
            raise QueryRefused(f"write the type of {name} in `-- types:`")
        return types.pop()


def stated_types(text: str) -> Columns:
    """Read the comments that state types."""
    found: Columns = {}
    for line in _TYPES.findall(text):
        for one in line.split(", "):
            match = _TYPE.fullmatch(one)
            if match is None:
                raise QueryRefused(f"malformed type {one!r}: write `name str`, `name int?` or the like")
            found[match[1]] = match[2] + (" | None" if match[3] else "")
    return found


def check_overrides(described: Mapping[str, Described]) -> None:
    """Compare the parameters of queries that another dialect has of its own."""
    for text in named_queries.sources("postgres").values():
        for name, body in named_queries.parse(text):
            if set(PARAMETER.findall(plain(statement(body), "postgres"))) != set(described[name].parameters):
                raise QueryRefused(f"{name}: the override for PostgreSQL takes other parameters")


def modules() -> Iterator[tuple[str, str]]:
    """Generate each module: its file's name, and its text."""
    named_queries.load("postgres")  # refuses a name that stands twice, and an override of nothing
    describer, every = Describer(), dict[str, Described]()
    for capability, text in named_queries.sources("").items():
        common = stated_types(text.partition("-- name: ")[0])
        described = []
        for name, body in named_queries.parse(text):
            try:
                described.append(describer.describe(name, body, common))
            except QueryRefused as exc:
                raise QueryRefused(f"storage/queries/{capability}.sql: {name}: {exc}") from exc
        used = {name for one in described for name in (*one.parameters, *(one.columns or {}))}
        if common.keys() - used:
            raise QueryRefused(
                f"storage/queries/{capability}.sql: no query has {', '.join(sorted(common.keys() - used))}"
            )
        yield f"{capability}.py", _formatted(_module(capability, described))
        every |= {one.name: one for one in described}
    check_overrides(every)


def _module(capability: str, described: list[Described]) -> str:
    kinds = ["NoParameters"] if any(not one.parameters for one in described) else []
    kinds += ["Command"] if any(one.columns is None for one in described) else []
    kinds += ["NamedQuery"] if any(one.columns is not None for one in described) else []
    parts = [
        f'"""Queries of storage/queries/{capability}.sql. Generated by packaging/queries.py: run `make queries`."""\n\n'
        "from __future__ import annotations\n\n"
        "from typing import TypedDict\n\n"
        f"from whence_aggregator.queries.query import {', '.join(sorted(kinds))}\n"
    ]
    for one in described:
        words = "".join(part.capitalize() for part in one.name.split("_"))
        takes = f"{words}Parameters" if one.parameters else "NoParameters"
        if one.parameters:
            parts.append(_typed_dict(takes, one.parameters))
        if one.columns is not None:
            parts.append(_typed_dict(f"{words}Row", one.columns))
        kind = f"Command[{takes}]" if one.columns is None else f"NamedQuery[{takes}, {words}Row]"
        parts.append(f'{one.name.upper()} = {kind}("{one.name}")\n')
    return "\n\n".join(parts)


def _typed_dict(name: str, columns: Columns) -> str:
    return f"class {name}(TypedDict):\n" + "".join(f"    {column}: {type_}\n" for column, type_ in columns.items())


def _formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(OUT / "generated.py"), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main(arguments: list[str]) -> int:
    """Write the modules, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a module differs")
    check = parser.parse_args(arguments).check
    try:
        wanted = {OUT / name: text for name, text in modules()}
    except QueryRefused as exc:
        print(f"packaging/queries.py: {exc}", file=sys.stderr)
        return 1
    there = {path for path in OUT.glob("*.py") if path.name not in _HAND_WRITTEN}
    stale = sorted(path for path in there | set(wanted) if _text(path) != wanted.get(path))
    for path in stale:
        if check:
            print(f"{path}: differs from storage/queries; run `make queries`", file=sys.stderr)
        elif path in wanted:
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
