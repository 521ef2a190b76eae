"""The keys of a section, from the structures of the sections: path, type, default and bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect
from msgspec.inspect import CollectionType, DictType, Field, LiteralType, Metadata, StructType, Type, type_info

from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_common.settings_typed import kinds

_DEPTH_MAX = 12
_NAMES: dict[type[Type], str] = {
    inspect.StrType: "text", inspect.IntType: "whole number", inspect.FloatType: "number",
    inspect.BoolType: "true or false", inspect.AnyType: "any value", inspect.NoneType: "null",
    StructType: "mapping", DictType: "mapping by name",
}  # fmt: skip
_BOUNDS = {"min_length": "at least {} long", "max_length": "at most {} long", "ge": "at least {}", "gt": "more than {}",
           "le": "at most {}", "lt": "less than {}", "pattern": "matches {}"}  # fmt: skip
_ITEMS = {"min_length": "at least {} entries", "max_length": "at most {} entries"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One key. `name` is its path in a section; `*` is a name that the writer chooses, `[]` an item of a list."""

    name: str
    description: str
    type: str
    default: str
    """As YAML in one line; empty if there is none."""
    is_required: bool
    bounds: tuple[str, ...]


def shapes(structure: type[Any] = AccountSettings) -> dict[str, Shape]:
    """Return the keys of a section in their order, each followed by those below it."""
    return {one.name: one for one in _of_structure(type_info(structure), "", 0)}


def _of_structure(kind: Type, path: str, depth: int) -> Iterator[Shape]:
    if depth > _DEPTH_MAX:
        return
    for one in kinds(kind):
        if isinstance(one, StructType):
            for field in one.fields:
                name = f"{path}.{field.name}" if path else field.name
                yield _shape(field, name)
                yield from _of_structure(field.type, name, depth + 1)
        elif isinstance(one, DictType):
            yield from _of_structure(one.value_type, f"{path}.*", depth + 1)
        elif isinstance(one, CollectionType):
            yield from _of_structure(one.item_type, f"{path}[]", depth + 1)


def _shape(field: Field, name: str) -> Shape:
    return Shape(
        name=name, description=_description(field.type), type=_type(field.type), default=_default(field),
        is_required=field.required, bounds=tuple(_bounds(field.type)),
    )  # fmt: skip


def _description(kind: Type) -> str:
    """Return the description of a field, else the first line of what its structure states of itself."""
    if isinstance(kind, Metadata):
        return str((kind.extra_json_schema or {}).get("description", "")) or _description(kind.type)
    inner = next((found for one in kinds(kind) if one is not kind and (found := _description(one))), "")
    documented = [one.cls.__doc__ for one in kinds(kind) if isinstance(one, StructType) and one.cls.__doc__]
    return inner or (documented[0].strip().splitlines()[0] if documented else "")


def _type(kind: Type) -> str:
    names = []
    for one in kinds(kind):
        if isinstance(one, Metadata):
            names.append(_type(one))
        elif isinstance(one, LiteralType):
            names.append("one of " + ", ".join(str(value) for value in one.values))
        elif isinstance(one, CollectionType):
            names.append(f"list of {_type(one.item_type)}")
        elif isinstance(one, DictType) and not isinstance(one.value_type, inspect.AnyType):
            names.append(f"mapping of name to {_type(one.value_type)}")
        else:
            names.append(_NAMES.get(type(one), type(one).__name__.removesuffix("Type").lower()))
    return " or ".join(dict.fromkeys(names))


def _default(field: Field) -> str:
    if field.default is not msgspec.NODEFAULT:
        return _written(field.default)
    if field.default_factory is not msgspec.NODEFAULT:
        made = msgspec.to_builtins(field.default_factory())
        return _written(made) if made in ([], {}, "") else ""
    return ""


def _written(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _bounds(kind: Type) -> Iterator[str]:
    for one in kinds(kind):
        if isinstance(one, Metadata):
            yield from _bounds(one)
            continue
        words = _ITEMS if isinstance(one, (CollectionType, DictType)) else _BOUNDS
        for attribute, text in words.items():
            value = getattr(one, attribute, None)
            if value is not None:
                yield text.format(value)
