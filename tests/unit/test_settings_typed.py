"""Settings whose structures have descriptions, tuples and patterns for names: each error has its place there too."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from whence_common.settings_typed import typed
from whence_common.user_data import strict_yaml
from whence_common.user_data.nodes import MappingNode


class Inner(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    size: int


class Outer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    one: Annotated[Inner | None, Meta(description="One.")] = None
    some: Annotated[tuple[Inner, ...], Meta(description="Some.")] = ()
    named: Annotated[dict[Annotated[str, Meta(pattern="^[a-z]+$")], Inner], Meta(description="By name.")] = {}


def _said(text: str) -> list[tuple[int, int, str, str]]:
    root, problems = strict_yaml.parse(text)
    assert isinstance(root, MappingNode), problems
    return [(one.line, one.column, one.message, one.fix) for one in typed(root, Outer, {})[1]]


def test_an_unknown_name_in_a_described_structure_is_named_with_a_near_one() -> None:
    assert _said("one: {sizes: 1}\n")[0] == (1, 7, "one.sizes: unknown setting", "did you mean size?")


def test_an_unknown_name_in_a_tuple_is_named_with_its_number() -> None:
    assert _said("some:\n  - size: 1\n  - sze: 1\n") == [
        (3, 5, "some[1].sze: unknown setting", "did you mean size?"),
        (3, 5, "some[1].size: is required, but not set", "see the table of settings in the program's README"),
    ]


def test_a_name_that_does_not_match_its_pattern_is_named_beside_errors_of_values() -> None:
    assert [one[:3] for one in _said("named:\n  a: {size: x}\n  B1: {size: 1}\n")] == [
        (2, 7, "named.a.size: must be a whole number, but is text"),
        (3, 3, "named.B1: this name is not valid: Expected `str` matching regex '^[a-z]+$'"),
    ]
