"""The definition of a kind of entry: its versions, the tables derived from it, its projection, and its account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

from whence_aggregator.ports import Transaction
from whence_aggregator.queries.query import Command, NamedQuery, NoParameters

Event = Mapping[str, Any]
"""The members of an entry that is not a statement."""
EVERY_ACCOUNT = "*"
"""In place of an account: the entry concerns all accounts, and is in the bundle of each."""


class Replayed(Protocol):
    """State that the projections of a replay keep from one entry to the next."""

    latest: int | None
    """The latest time of recording so far, in milliseconds."""


Project = Callable[[Transaction, Replayed, Sequence[tuple[int, Event]]], Awaitable[None]]
"""Writes the rows derived from entries, given with their indexes. All are of one kind and version."""


def _alone(_before: Sequence[tuple[int, Event]], _event: Event) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryKind:
    """One row of the table. A kind that is not in the table cannot be appended."""

    tables: tuple[str, ...]
    """Tables with rows that are derived from entries of this kind."""
    account: Callable[[Event], str]
    """Returns the account that an entry concerns, or EVERY_ACCOUNT. Raises KeyError, TypeError for a malformed one."""
    project: Mapping[int, Project]
    """By version. No version is ever taken away: recorded entries are never rewritten."""
    together: Callable[[Sequence[tuple[int, Event]], Event], bool] = _alone
    """Whether an event may be projected together with those before it, of its kind and version."""
    removable: bool = False
    """Whether the rows that are derived from an entry are removed with its body: a rebuild lacks nothing without it."""


class TablePage(TypedDict):
    """The rows of a table that a query reads."""

    limit: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that is derived from the log, in the order in which they are cleared."""

    name: str
    clear: Command[NoParameters]
    dumps: tuple[NamedQuery[TablePage, Mapping[str, object]], ...]
    """The queries whose rows `ledger check` compares."""
    lossy: bool = False
    """Whether rows are missing where bodies of entries were pruned."""
