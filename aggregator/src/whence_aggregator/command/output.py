"""What the command's answers have in common: pages joined, tables, errors and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whence_aggregator.command.client import Client, Refused
from whence_aggregator.command.picture import printable
from whence_common.errors import WhenceError

GAPS, UNREACHABLE, UNKNOWN = 1, 3, 4
_PAGES_MAX = 1_000


def all_pages(
    client: Client, path: str, name: str, parameters: dict[str, str | None]
) -> tuple[dict[str, Any], list[Any]]:
    """Ask for every page; give the first answer with all rows in it."""
    rows: list[Any] = []
    cursor: str | None = None
    for _ in range(_PAGES_MAX):
        page = {**parameters, "cursor": cursor}
        document = ask(lambda page=page: client.get(path, **page))  # type: ignore[misc]  # a bound copy, not a closure
        rows += document[name]
        cursor = document["next"]
        if cursor is None:
            break
    return {**document, name: rows}, rows


def show(document: object, rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if row.get(column) is None else printable(row[column])) for column in columns))
    Console(highlight=False).print(table)
    click.echo(f"{len(rows)} in all")


def ask(request: Callable[[], Any]) -> Any:
    try:
        return request()
    except Refused as exc:
        end(exc.diagnostics(), UNKNOWN if exc.status == 404 else UNREACHABLE)
    except WhenceError as exc:
        end(exc.diagnostics(), UNREACHABLE)


def end(message: str, code: int) -> NoReturn:
    click.echo(f"whence: {message}", err=True)
    sys.exit(code)
