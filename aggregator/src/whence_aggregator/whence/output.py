"""Output of all subcommands: paged lists, tables, JSON, errors and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whence_aggregator.whence.client import Client, Refused
from whence_common.errors import RoadError, WhenceError
from whence_common.runtime.output import print_note
from whence_common.visible import printable, visible_json

GAPS, USAGE, UNREACHABLE, UNKNOWN, INCOMPLETE, FAILED = 1, 2, 3, 4, 5, 70
PAGE_ROWS_MAX = 500
"""The most rows that the API returns in a page."""
_SHOWN_DEFAULT = 100
_PIPE_COLUMNS = 1_000_000
"""The width if the output is not a terminal: nothing is folded or cut."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass
class PagedList:
    """A list that is read page by page. Iterate `pages` once; `following` and `rows` are complete afterwards."""

    first: Mapping[str, Any]
    """The first response without its rows."""
    pages: Iterator[Sequence[Mapping[str, Any]]]
    following: str | None = None
    """The cursor of the first row that was not read; None if the list was read to its end."""
    rows: int = 0

    def note(self) -> str:
        """Return a line about the number of rows, and whether there are more."""
        if self.following is None:
            return f"{self.rows} in total"
        return f"{self.rows} shown, and there are more: use --all, or --limit N for the first N"


def listing(command: _Command) -> _Command:
    """Add --limit, --all and --json to a list command."""
    options = (
        click.option("--limit", type=click.IntRange(min=1), default=_SHOWN_DEFAULT, show_default=True, metavar="N",
                     help="List only the first N rows."),
        click.option("--all", "everything", is_flag=True, help="List all rows."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON; `next` is null at the end of the list."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


AT = "As it was known at this time, 2026-11-22T12:00:00Z."


def one_of_them(command: _Command) -> _Command:
    """Add --at and --json to a command that shows one thing of the organisation."""
    for option in (click.option("--json", "as_json", is_flag=True, help="Print JSON."), click.option("--at", help=AT)):
        command = option(command)
    return command


def document_of(client: Client, path: str, *names: str, **parameters: str | None) -> dict[str, Any]:
    """Return the document at a path. Ends the program if the server refuses, or if it lacks one of the members."""
    document = ask(lambda: client.get(path, **parameters))
    lacking = [one for one in names if not isinstance(document, dict) or one not in document]
    if lacking:
        end(f"the response to {path} has no `{lacking[0]}`: is this a whence-aggregator of this version?", UNREACHABLE)
    found: dict[str, Any] = document
    return found


def listed(
    client: Client,
    path: str,
    name: str,
    parameters: Mapping[str, str | None],
    most: int | None,
    *,
    after: str | None = None,
) -> PagedList:
    """Return a list after a cursor, read page by page, with up to `most` rows; None means all."""

    def page(cursor: str | None, left: int | None) -> dict[str, Any]:
        size = str(PAGE_ROWS_MAX if left is None else min(left, PAGE_ROWS_MAX))
        document = ask(lambda: client.get(path, **{**parameters, "cursor": cursor, "limit": size}))
        if not isinstance(document, dict) or not isinstance(document.get(name), list) or "next" not in document:
            end(f"the response to {path} is not a list of {name}: is this a whence-aggregator?", UNREACHABLE)
        return document

    document = page(after, most)
    rest = {key: value for key, value in document.items() if key not in (name, "next")}
    found = PagedList(first=rest, pages=iter(()), following=document["next"])

    def pages() -> Iterator[Sequence[Mapping[str, Any]]]:
        current, seen = document, set[str]()
        while True:
            rows = current[name]
            found.rows += len(rows)
            found.following = current["next"]
            yield rows
            if found.following is None or (most is not None and found.rows >= most):
                return
            if found.following in seen:
                end(f"the list of {name} does not end: the aggregator repeats a page", UNREACHABLE)
            seen.add(found.following)
            current = page(found.following, None if most is None else most - found.rows)

    found.pages = pages()
    return found


def show_list(found: PagedList, name: str, columns: tuple[str, ...], *, as_json: bool) -> None:
    """Print a list page by page, and a line about the number of rows to stderr."""
    if as_json:
        json_list(found, name)
    else:
        table = _Table(columns)
        for rows in found.pages:
            table.add(rows)
    note(found.note())


def json_list(found: PagedList, name: str) -> None:
    """Print a list as one JSON document, row by row, so that a long one is not held in memory."""
    before = "".join(f"  {visible_json(key)}: {_indented(value)},\n" for key, value in found.first.items())
    out(f"{{\n{before}  {visible_json(name)}: [")
    separator = "\n    "
    for row in chain.from_iterable(found.pages):
        out(separator + _indented(row, "    "))
        separator = ",\n    "
    out(f'\n  ],\n  "next": {visible_json(found.following)}\n}}\n')


def show(document: object, rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    """Print a response that is not paged."""
    if as_json:
        show_json(document)
        return
    _Table(columns).add(rows)
    note(f"{len(rows)} in total")


def show_json(document: object) -> None:
    out(visible_json(document, indent=2) + "\n")


def show_lines(lines: Sequence[tuple[str, object]]) -> None:
    """Print names with their values, one a line."""
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        out(f"{name:<{width}} {printable(value)}".rstrip() + "\n")


class ReaderGone(Exception):
    """The reader closed the output. Not an OSError, for which click would exit with 1, which means gaps."""


def out(text: str) -> None:
    """Print to stdout. Raises ReaderGone."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError as exc:
        raise ReaderGone from exc


def note(text: str) -> None:
    """Print to stderr, after what was printed to stdout before; a closed stderr is ignored."""
    with suppress(OSError):
        print_note("\n".join(map(printable, text.split("\n"))))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise ReaderGone, which `main` handles: rich would exit with 1, which means gaps."""
        raise ReaderGone


def console() -> Console:
    """Return a console without markup; if the output is not a terminal, it has no limit of width."""
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return _Console(highlight=False, markup=False, emoji=False, width=width)


class _Table:
    """A table that is printed page by page: folded to a terminal's width, else one line per row."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._widths = [len(column) for column in columns]
        self._begun = False

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        cells = [[_cell(row.get(column)) for column in self._columns] for row in rows]
        if sys.stdout.isatty():
            self._add_folded(cells)
            return
        self._widths = [max(width, *(len(row[n]) for row in cells), 0) for n, width in enumerate(self._widths)]
        for row in cells if self._begun else [self._columns, *cells]:
            out("  ".join(cell.ljust(width) for cell, width in zip(row, self._widths, strict=True)).rstrip() + "\n")
        self._begun = True

    def _add_folded(self, rows: list[list[str]]) -> None:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in self._columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console().print(table)


def _cell(value: object) -> str:
    return "" if value is None else printable(value)


def _indented(value: object, by: str = "  ") -> str:
    return visible_json(value, indent=2).replace("\n", "\n" + by)


def ask(request: Callable[[], Any], *, unless: str = "") -> Any:
    """Return the result of a request; on an error, print it and exit with its code.

    None for a refusal with the code `unless`.
    """
    try:
        return request()
    except Refused as exc:
        if unless and exc.code == unless:
            return None
        end(exc.diagnostics(), _exit_code(exc))
    except RoadError as exc:
        end(exc.diagnostics(), UNREACHABLE)
    except WhenceError as exc:
        end(exc.diagnostics(), USAGE)


def _exit_code(refused: Refused) -> int:
    """Return the exit code for a refusal. A 404 with a code of its own means not found; without, an unknown path."""
    if refused.status == 404 and refused.code != "http-404":
        return UNKNOWN
    return USAGE if refused.status == 400 else UNREACHABLE


def end(message: str, code: int) -> NoReturn:
    note(f"whence: {message}")
    sys.exit(code)
