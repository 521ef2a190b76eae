"""Every query as PostgreSQL prepares it: its parameters and columns are those that the program's types state."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from typing import Any, get_type_hints

import asyncpg
import pytest

from landscape.postgres import drop_database, new_database
from whence_aggregator import queries
from whence_aggregator.queries.query import Command, NamedQuery
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.postgres import PostgresDatabase

_PYTHON = {"text": "str", "int8": "int", "int2": "int", "int4": "int", "bytea": "bytes", "unknown": "str"}


def stated() -> dict[str, tuple[dict[str, str], dict[str, str] | None]]:
    """Return the types that the generated modules state for each query: parameters, and columns if it returns rows."""
    found = {}
    for one in pkgutil.iter_modules(queries.__path__):
        module = vars(importlib.import_module(f"{queries.__name__}.{one.name}"))
        for name in [value.name for value in module.values() if isinstance(value, NamedQuery | Command)]:
            words = "".join(part.capitalize() for part in name.split("_"))
            found[name] = _types(module.get(f"{words}Parameters")) or {}, _types(module.get(f"{words}Row"))
    return found


def _types(stated: type | None) -> dict[str, str] | None:
    return {name: _plain(hint) for name, hint in get_type_hints(stated).items()} if stated is not None else None


def _plain(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).removesuffix(" | None")


@pytest.fixture(scope="module")
async def connection(postgres_dsn: str) -> AsyncIterator[Any]:
    dsn = await new_database(postgres_dsn, "prepared")
    await (await PostgresDatabase.open(dsn)).close()
    opened = await asyncpg.connect(dsn)
    yield opened
    await opened.close()
    await drop_database(postgres_dsn, "prepared")


async def test_postgresql_prepares_every_query_with_the_types_that_the_program_states(connection: Any) -> None:
    types = stated()
    numbered = named_queries.numbered("postgres")
    assert numbered.keys() == types.keys()
    wrong = []
    for name, query in numbered.items():
        prepared = await connection.prepare(query.sql)
        takes = {
            parameter: "str" if parameter in query.arrays else _PYTHON[type_.name]
            for parameter, type_ in zip(query.parameters, prepared.get_parameters(), strict=True)
        }
        returns = {one.name: _PYTHON.get(one.type.name, one.type.name) for one in prepared.get_attributes()}
        if (takes, returns) != (types[name][0], types[name][1] or {}):
            wrong.append((name, takes, returns, types[name]))
    assert wrong == []
