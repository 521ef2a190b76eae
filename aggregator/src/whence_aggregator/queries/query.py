"""Queries by name, with the types of their parameters and of their rows.

`Query.bind` and `Command.bind` take the parameters, so that a type checker refuses a wrong name or value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar, overload

import msgspec

P_contra = TypeVar("P_contra", bound=Mapping[str, object], contravariant=True)
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")
J = TypeVar("J")
K = TypeVar("K")
L = TypeVar("L")
M = TypeVar("M")
N = TypeVar("N")
P = TypeVar("P")
Parameters = Mapping[str, object]
EVERY_ENTRY = 2**62
"""A bound past the index of every entry."""


class NoParameters(TypedDict):
    """The parameters of a query that takes none."""


class InstanceIds(TypedDict):
    """The parameters of queries about instances by id."""

    instance_ids: str


class NamedQuery(Generic[P_contra, R_co]):
    """A query that returns rows."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def bind(self, parameters: P_contra) -> BoundQuery[R_co]:
        """Return the query with its parameters."""
        return BoundQuery(self.name, parameters)


class Command(Generic[P_contra]):
    """A query that writes, and returns nothing."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def bind(self, rows: Sequence[P_contra]) -> BoundCommand:
        """Return the command with the rows that it is run for."""
        return BoundCommand(self.name, rows)


class BoundQuery(NamedTuple, Generic[R_co]):
    """A query's name and its parameters."""

    name: str
    parameters: Parameters


class BoundCommand(NamedTuple):
    """A command's name and the rows that it is run for."""

    name: str
    rows: Sequence[Parameters]


class BoundQueries(Generic[T_co]):
    """Queries that are answered together, as things were at one moment: a tuple of their rows."""

    __slots__ = ("queries",)

    def __init__(self, queries: Sequence[BoundQuery[Any]]) -> None:
        self.queries = queries


NOTHING: BoundQueries[tuple[()]] = BoundQueries(())


def array(values: Sequence[str] | Sequence[int]) -> str:
    """Return values as the parameter y of `{x in texts y}` and `{x in integers y}`."""
    return msgspec.json.encode(values).decode()


def instance_ids(names: Sequence[str]) -> InstanceIds:
    """Return the parameters of queries about instances by id."""
    return {"instance_ids": array(names)}


def each(queries: Sequence[BoundQuery[A]]) -> BoundQueries[tuple[Sequence[A], ...]]:
    """Ask any number of queries with rows of one type together."""
    return BoundQueries(queries)


@overload
def together(a: BoundQuery[A], /) -> BoundQueries[tuple[Sequence[A]]]: ...
@overload
def together(a: BoundQuery[A], b: BoundQuery[B], /) -> BoundQueries[tuple[Sequence[A], Sequence[B]]]: ...
@overload
def together(
    a: BoundQuery[A], b: BoundQuery[B], c: BoundQuery[C], /
) -> BoundQueries[tuple[Sequence[A], Sequence[B], Sequence[C]]]: ...
@overload
def together(
    a: BoundQuery[A], b: BoundQuery[B], c: BoundQuery[C], d: BoundQuery[D], /
) -> BoundQueries[tuple[Sequence[A], Sequence[B], Sequence[C], Sequence[D]]]: ...
@overload
def together(
    a: BoundQuery[A], b: BoundQuery[B], c: BoundQuery[C], d: BoundQuery[D], e: BoundQuery[E], /
) -> BoundQueries[tuple[Sequence[A], Sequence[B], Sequence[C], Sequence[D], Sequence[E]]]: ...
@overload
def together(
    a: BoundQuery[A], b: BoundQuery[B], c: BoundQuery[C], d: BoundQuery[D], e: BoundQuery[E], f: BoundQuery[F], /
) -> BoundQueries[tuple[Sequence[A], Sequence[B], Sequence[C], Sequence[D], Sequence[E], Sequence[F]]]: ...
@overload
def together(
    a: BoundQuery[A], b: BoundQuery[B], c: BoundQuery[C], d: BoundQuery[D],
    e: BoundQuery[E], f: BoundQuery[F], g: BoundQuery[G], h: BoundQuery[H], /
) -> BoundQueries[tuple[
    Sequence[A], Sequence[B], Sequence[C], Sequence[D], Sequence[E], Sequence[F], Sequence[G], Sequence[H]
]]: ...  # fmt: skip
@overload
def together(
    a: BoundQuery[A], b: BoundQuery[B], c: BoundQuery[C], d: BoundQuery[D], e: BoundQuery[E],
    f: BoundQuery[F], g: BoundQuery[G], h: BoundQuery[H], i: BoundQuery[J], /
) -> BoundQueries[tuple[
    Sequence[A], Sequence[B], Sequence[C], Sequence[D], Sequence[E], Sequence[F], Sequence[G], Sequence[H], Sequence[J]
]]: ...  # fmt: skip
@overload
def together(
    a: BoundQuery[A], b: BoundQuery[B], c: BoundQuery[C], d: BoundQuery[D], e: BoundQuery[E], f: BoundQuery[F],
    g: BoundQuery[G], h: BoundQuery[H], i: BoundQuery[J], j: BoundQuery[K], k: BoundQuery[L], m: BoundQuery[M], /
) -> BoundQueries[tuple[
    Sequence[A], Sequence[B], Sequence[C], Sequence[D], Sequence[E], Sequence[F], Sequence[G], Sequence[H],
    Sequence[J], Sequence[K], Sequence[L], Sequence[M],
]]: ...  # fmt: skip
@overload
def together(
    a: BoundQuery[A], b: BoundQuery[B], c: BoundQuery[C], d: BoundQuery[D], e: BoundQuery[E], f: BoundQuery[F],
    g: BoundQuery[G], h: BoundQuery[H], i: BoundQuery[J], j: BoundQuery[K], k: BoundQuery[L], m: BoundQuery[M],
    n: BoundQuery[N], o: BoundQuery[P], /
) -> BoundQueries[tuple[
    Sequence[A], Sequence[B], Sequence[C], Sequence[D], Sequence[E], Sequence[F], Sequence[G], Sequence[H],
    Sequence[J], Sequence[K], Sequence[L], Sequence[M], Sequence[N], Sequence[P],
]]: ...  # fmt: skip
def together(*queries: BoundQuery[Any]) -> BoundQueries[Any]:
    """Ask several queries together."""
    return BoundQueries(queries)
